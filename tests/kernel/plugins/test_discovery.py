"""Plugins are found from the metadata of their wheels, without importing them."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import pytest

from crm_kernel._internal.discovery import GROUP, InstalledPlugin, installed_plugins, kernel_version
from crm_kernel.testing.sites import write_distribution


def found_in(*folders: Path) -> dict[str, InstalledPlugin]:
    """Discover only what is installed in the folders."""
    points = [
        point
        for distribution in metadata.distributions(path=[str(folder) for folder in folders])
        for point in distribution.entry_points.select(group=GROUP)
    ]
    return installed_plugins(points)


def test_a_plugin_is_described_by_its_wheel(toybank_site: Path) -> None:
    bank = found_in(toybank_site)["toybank"]

    assert (bank.distribution, bank.version, bank.package) == ("crm-toybank", "1.2.0", "crm_toybank")
    assert bank.summary == "Accounts, IBAN and risk of a bank's customers: the test plugin"
    assert str(bank.kernel_requirement()) == "crm-kernel<0.2,>=0.1"


def test_discovery_imports_nothing(tmp_path: Path) -> None:
    write_distribution(tmp_path, "explosive", files={"__init__.py": "raise SystemExit('imported')"})

    assert list(found_in(tmp_path)) == ["explosive"]
    assert "crm_explosive" not in sys.modules


def test_plugins_come_sorted_by_name(tmp_path: Path) -> None:
    for name in ("zebra", "ant", "moth"):
        write_distribution(tmp_path, name)

    assert list(found_in(tmp_path)) == ["ant", "moth", "zebra"]


def test_a_new_plugin_on_the_path_is_seen_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = installed_plugins()
    monkeypatch.syspath_prepend(str(write_distribution(tmp_path, "newcomer")))

    assert "newcomer" not in before
    assert "newcomer" in installed_plugins()


def test_requirements_of_extras_are_not_requirements(tmp_path: Path) -> None:
    write_distribution(tmp_path, "shop", requires=["crm-kernel>=0.1", "crm-bank>=1; extra == 'bank'"])

    assert [r.name for r in found_in(tmp_path)["shop"].requirements] == ["crm-kernel"]


def test_a_malformed_requirement_does_not_hide_the_plugin(tmp_path: Path) -> None:
    write_distribution(tmp_path, "sloppy", requires=["crm-kernel >= >= 1"])

    assert found_in(tmp_path)["sloppy"].requirements == ()


def test_two_distributions_with_one_plugin_name_count_once(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, version in ((first, "1.0.0"), (second, "2.0.0")):
        write_distribution(folder, "twin", version=version)

    assert len(found_in(first, second)) == 1


def test_the_kernel_knows_its_version() -> None:
    assert kernel_version().startswith("0.1")
