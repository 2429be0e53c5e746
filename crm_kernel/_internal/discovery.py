"""Finds installed plugins from wheel metadata, without importing any of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

#: Entry point group in which a distribution names its plugin class.
GROUP = "crm.plugins"
KERNEL_DISTRIBUTION = "crm-kernel"


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """What the wheel says about a plugin."""

    name: str
    distribution: str
    version: str
    summary: str
    #: ``package.module:Class``
    target: str
    #: Requirements on the kernel and on other plugins' distributions; foreign libraries are pip's business.
    requirements: tuple[Requirement, ...]

    @property
    def package(self) -> str:
        """Top-level package of the plugin."""
        return self.target.partition(":")[0].partition(".")[0]

    def kernel_requirement(self) -> Requirement | None:
        """Return the requirement on the kernel, if the wheel states one."""
        return next((r for r in self.requirements if canonicalize_name(r.name) == KERNEL_DISTRIBUTION), None)


def kernel_version() -> str:
    """Return the version of the installed kernel distribution."""
    try:
        return metadata.version(KERNEL_DISTRIBUTION)
    except metadata.PackageNotFoundError:  # a source tree on sys.path without an installation
        return "0.1.0"


def installed_plugins(entry_points: Iterable[metadata.EntryPoint] | None = None) -> dict[str, InstalledPlugin]:
    """Return the installed plugins by name, sorted; two distributions with one plugin name: the later one is dropped.

    Reads metadata only: a plugin whose code cannot be imported is listed like any other.
    """
    found: dict[str, InstalledPlugin] = {}
    for point in sorted(entry_points if entry_points is not None else metadata.entry_points(group=GROUP)):
        if point.name not in found and point.dist is not None:
            found[point.name] = _describe(point, point.dist)
    return found


def plugin_of_distribution(plugins: Mapping[str, InstalledPlugin]) -> dict[str, str]:
    """Return distribution (canonical name) → plugin name."""
    return {str(canonicalize_name(plugin.distribution)): name for name, plugin in plugins.items()}


def _describe(point: metadata.EntryPoint, distribution: metadata.Distribution) -> InstalledPlugin:
    meta = distribution.metadata
    return InstalledPlugin(
        name=point.name,
        distribution=meta["Name"],
        version=distribution.version,
        summary=meta["Summary"] or "",
        target=point.value,
        requirements=tuple(_requirements(distribution)),
    )


def _requirements(distribution: metadata.Distribution) -> Iterable[Requirement]:
    for text in distribution.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement
