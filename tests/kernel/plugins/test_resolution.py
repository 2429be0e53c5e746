"""The enabled plugins are resolved as one set: every gap, conflict and cycle is named."""

from __future__ import annotations

import pytest
from packaging.requirements import Requirement

from crm_kernel._internal.discovery import InstalledPlugin
from crm_kernel._internal.resolution import dependants_of, dependencies_of, resolve

KERNEL = "0.1.0"


def plugin(name: str, *requires: str, version: str = "1.0.0") -> InstalledPlugin:
    """Describe an installed plugin."""
    return InstalledPlugin(
        name=name,
        distribution=f"crm-{name}",
        version=version,
        summary="",
        target=f"crm_{name}.plugin:{name.capitalize()}Plugin",
        requirements=tuple(map(Requirement, requires)),
    )


def installed(*plugins: InstalledPlugin) -> dict[str, InstalledPlugin]:
    """Return plugins by name."""
    return {found.name: found for found in plugins}


def test_nothing_wanted_resolves_to_nothing() -> None:
    resolution = resolve([], installed(plugin("sfa")), KERNEL)

    assert (resolution.order, dict(resolution.problems)) == ((), {})


def test_dependencies_load_before_dependants_and_equals_by_name() -> None:
    plugins = installed(plugin("ant", "crm-zebra"), plugin("bee"), plugin("zebra"))

    assert resolve(["zebra", "ant", "bee"], plugins, KERNEL).order == ("bee", "zebra", "ant")


def test_the_order_does_not_depend_on_the_order_of_asking() -> None:
    plugins = installed(plugin("a", "crm-c"), plugin("b", "crm-c"), plugin("c"), plugin("d"))

    orders = {resolve(wanted, plugins, KERNEL).order for wanted in (["a", "b", "c", "d"], ["d", "c", "b", "a"])}

    assert orders == {("c", "d", "a", "b")}


def test_distribution_names_are_compared_in_canonical_form() -> None:
    plugins = installed(plugin("bank", "CRM_Sfa>=1"), plugin("sfa"))

    assert resolve(["bank", "sfa"], plugins, KERNEL).order == ("sfa", "bank")


@pytest.mark.parametrize(
    ("requirement", "sfa_version", "wanted", "said"),
    [
        ("crm-sfa>=2",   "1.4.0", ["bank", "sfa"], "needs crm-sfa>=2, found 1.4.0. Install a wheel that fits"),
        ("crm-sfa>=1",   "1.4.0", ["bank"],        "needs the module sfa, which is not enabled. crm modules enable sfa"),
        ("crm-nowhere",  "1.4.0", ["bank"],        "needs crm-nowhere, which is not installed. Install its wheel"),
        ("crm-kernel>=2", "1.4.0", ["bank"],       "crm-bank 1.0.0 needs crm-kernel>=2, found 0.1.0. Upgrade one of the two"),
    ],
)  # fmt: skip
def test_a_requirement_that_is_not_met_is_named_with_the_way_out(
    requirement: str, sfa_version: str, wanted: list[str], said: str
) -> None:
    plugins = installed(plugin("bank", requirement), plugin("sfa", version=sfa_version))

    resolution = resolve(wanted, plugins, KERNEL)

    assert resolution.problems["bank"] == said
    assert "bank" not in resolution.order


def test_a_wanted_plugin_that_is_not_installed_is_named_with_both_ways_out() -> None:
    reason = resolve(["sfa"], {}, KERNEL).problems["sfa"]

    assert "Install the wheel that provides it" in reason
    assert "crm modules disable sfa" in reason


def test_foreign_libraries_are_no_business_of_ours() -> None:
    assert resolve(["bank"], installed(plugin("bank", "numpy>=99")), KERNEL).order == ("bank",)


def test_a_pre_release_of_the_kernel_satisfies_its_range() -> None:
    assert resolve(["bank"], installed(plugin("bank", "crm-kernel>=0.1")), "0.2.0.dev3").order == ("bank",)


def test_a_problem_spreads_to_everything_that_needs_it() -> None:
    plugins = installed(plugin("a", "crm-kernel>=9"), plugin("b", "crm-a"), plugin("c", "crm-b"), plugin("free"))

    resolution = resolve(["a", "b", "c", "free"], plugins, KERNEL)

    assert resolution.order == ("free",)
    assert resolution.problems["b"] == "needs the module a, which cannot be loaded"
    assert resolution.problems["c"] == "needs the module b, which cannot be loaded"


def test_a_cycle_is_named_whole_and_spares_the_others() -> None:
    plugins = installed(
        plugin("a", "crm-b"), plugin("b", "crm-c"), plugin("c", "crm-a"), plugin("free"), plugin("d", "crm-a")
    )

    resolution = resolve(["a", "b", "c", "d", "free"], plugins, KERNEL)

    assert resolution.order == ("free",)
    for name in "abc":
        assert resolution.problems[name].startswith("cyclic dependency: ")
        assert all(member in resolution.problems[name] for member in "abc")
    assert resolution.problems["d"] == "needs the module a, which cannot be loaded"


def test_the_cycle_is_told_in_the_direction_of_the_requirements() -> None:
    plugins = installed(plugin("a", "crm-b"), plugin("b", "crm-c"), plugin("c", "crm-a"))

    said = resolve(["a", "b", "c"], plugins, KERNEL).problems["a"]

    assert any(chain in said for chain in ("a → b → c → a", "b → c → a → b", "c → a → b → c"))


def test_two_cycles_are_both_named() -> None:
    plugins = installed(plugin("a", "crm-b"), plugin("b", "crm-a"), plugin("x", "crm-y"), plugin("y", "crm-x"))

    resolution = resolve(list("abxy"), plugins, KERNEL)

    assert set(resolution.problems) == set("abxy")


def test_several_problems_are_all_named_in_one_go() -> None:
    plugins = installed(plugin("old", "crm-kernel<0.1"), plugin("lonely", "crm-nowhere"))

    assert set(resolve(["old", "lonely", "absent"], plugins, KERNEL).problems) == {"old", "lonely", "absent"}


def test_dependencies_are_the_installed_plugins_a_wheel_requires() -> None:
    plugins = installed(plugin("bank", "crm-sfa", "crm-kernel", "numpy"), plugin("sfa"))

    assert dependencies_of(plugins["bank"], plugins) == {"sfa"}


def test_dependants_are_found_through_others() -> None:
    plugins = installed(plugin("sfa"), plugin("bank", "crm-sfa"), plugin("branch", "crm-bank"), plugin("ema"))

    assert dependants_of("sfa", ["sfa", "bank", "branch", "ema"], plugins) == ["bank", "branch"]
