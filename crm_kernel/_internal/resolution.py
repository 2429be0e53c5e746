"""Decides whether a set of plugins fits together, and in which order they load.

The kernel and all plugins are resolved as ONE set: gaps, version conflicts and cycles are all named, not just the first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from crm_kernel._internal.discovery import KERNEL_DISTRIBUTION, InstalledPlugin, plugin_of_distribution


@dataclass(frozen=True, slots=True)
class Resolution:
    """The outcome: ``order`` to load in, and why the others cannot load (plugin → reason with the way out)."""

    order: tuple[str, ...]
    problems: Mapping[str, str] = field(default_factory=dict)


def resolve(wanted: Collection[str], installed: Mapping[str, InstalledPlugin], kernel_version: str) -> Resolution:
    """Return the loadable plugins of ``wanted`` in dependency order, then by name, and the problems of the rest.

    A plugin whose dependency has a problem has one too, and says through whom.
    """
    problems: dict[str, str] = {}
    graph: dict[str, set[str]] = {}
    for name in sorted(wanted):
        reason = _own_problem(name, wanted, installed, kernel_version)
        if reason:
            problems[name] = reason
        else:
            graph[name] = dependencies_of(installed[name], installed)
    _spread(problems, graph)
    order = _ordered({name: needs for name, needs in graph.items() if name not in problems}, problems)
    _spread(problems, graph)
    return Resolution(tuple(name for name in order if name not in problems), problems)


def dependencies_of(plugin: InstalledPlugin, installed: Mapping[str, InstalledPlugin]) -> set[str]:
    """Return the names of the installed plugins that a plugin's wheel requires."""
    names = plugin_of_distribution(installed)
    return {names[key] for key in map(_key, plugin.requirements) if key in names and names[key] != plugin.name}


def dependants_of(name: str, candidates: Collection[str], installed: Mapping[str, InstalledPlugin]) -> list[str]:
    """Return which of the candidates require a plugin, directly or through others, sorted."""
    found: set[str] = set()
    grown = True
    while grown:
        grown = False
        for other in sorted(set(candidates) - found - {name}):
            if other in installed and dependencies_of(installed[other], installed) & (found | {name}):
                found.add(other)
                grown = True
    return sorted(found)


def _key(requirement: Requirement) -> str:
    return str(canonicalize_name(requirement.name))


def _own_problem(
    name: str, wanted: Collection[str], installed: Mapping[str, InstalledPlugin], kernel_version: str
) -> str | None:
    if name not in installed:
        return (
            f"no installed distribution provides it. Install the wheel that provides it, or: crm modules disable {name}"
        )
    plugin = installed[name]
    kernel = plugin.kernel_requirement()
    if kernel is not None and not kernel.specifier.contains(kernel_version, prereleases=True):
        return (
            f"{plugin.distribution} {plugin.version} needs {KERNEL_DISTRIBUTION}{kernel.specifier}, "
            f"found {kernel_version}. Upgrade one of the two"
        )
    return next(filter(None, (_requirement_problem(plugin, r, wanted, installed) for r in plugin.requirements)), None)


def _requirement_problem(
    plugin: InstalledPlugin, requirement: Requirement, wanted: Collection[str], installed: Mapping[str, InstalledPlugin]
) -> str | None:
    key = _key(requirement)
    needed = plugin_of_distribution(installed).get(key)
    if needed is None:
        # Foreign libraries are pip's business; a crm-* distribution that no entry point names is a missing plugin.
        missing_plugin = key.startswith("crm-") and key not in (KERNEL_DISTRIBUTION, "crm-cli")
        return f"needs {requirement}, which is not installed. Install its wheel" if missing_plugin else None
    found = installed[needed]
    if not requirement.specifier.contains(found.version, prereleases=True):
        return f"needs {requirement}, found {found.version}. Install a wheel that fits"
    if needed not in wanted:
        return f"needs the module {needed}, which is not enabled. crm modules enable {needed}"
    return None


def _spread(problems: dict[str, str], graph: Mapping[str, set[str]]) -> None:
    grown = True
    while grown:
        grown = False
        for name, needs in sorted(graph.items()):
            blocked = sorted(needs & problems.keys())
            if name not in problems and blocked:
                problems[name] = f"needs the module {blocked[0]}, which cannot be loaded"
                grown = True


def _ordered(graph: dict[str, set[str]], problems: dict[str, str]) -> list[str]:
    while True:
        try:
            sorter = TopologicalSorter(graph)
            sorter.prepare()
        except CycleError as error:
            cycle = list(reversed(error.args[1]))
            for name in sorted(set(cycle)):
                problems[name] = f"cyclic dependency: {' → '.join(cycle)}. One of them must drop its requirement"
            graph = {n: needs - problems.keys() for n, needs in graph.items() if n not in problems}
            continue
        order: list[str] = []
        while sorter.is_active():
            ready = sorted(sorter.get_ready())
            order += ready
            sorter.done(*ready)
        return order
