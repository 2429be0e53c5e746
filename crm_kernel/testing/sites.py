"""Writes a plugin to disk as an installed distribution: a package and its ``dist-info``, without pip.

Put the folder on ``sys.path`` (or ``PYTHONPATH`` of a subprocess) and the plugin is installed; take it off and it is
gone. That is how a test sees discovery, failures and removal without building a wheel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

_PLUGIN = '''"""Wiring of {name}."""

from crm_kernel.plugin import Plugin


class {class_name}(Plugin):
    """A plugin that contributes nothing."""

    name = "{name}"
'''


def class_name_of(plugin: str) -> str:
    """Return the conventional class name of a plugin: ``sfa`` → ``SfaPlugin``."""
    return f"{plugin.capitalize()}Plugin"


def write_distribution(
    folder: Path,
    plugin: str,
    *,
    files: Mapping[str, str] | None = None,
    version: str = "1.0.0",
    requires: Sequence[str] = (),
    summary: str = "",
    description: str = "",
    target: str | None = None,
) -> Path:
    """Write the distribution ``crm-<plugin>`` with the package ``crm_<plugin>`` into a folder and return the folder.

    Args:
        files: path inside the package → content; without ``plugin.py`` an empty plugin is written.
        requires: requirements as in ``Requires-Dist``: ``"crm-kernel>=0.1"``.
        description: the README that the metadata carries.
        target: what the entry point names; the conventional class if not given.
    """
    package = folder / f"crm_{plugin}"
    empty = _PLUGIN.format(name=plugin, class_name=class_name_of(plugin))
    for path, content in {"__init__.py": "", "plugin.py": empty, **(files or {})}.items():
        file = package / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    info = folder / f"crm_{plugin}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(_metadata(plugin, version, requires, summary, description), encoding="utf-8")
    entry = target or f"crm_{plugin}.plugin:{class_name_of(plugin)}"
    (info / "entry_points.txt").write_text(f"[crm.plugins]\n{plugin} = {entry}\n", encoding="utf-8")
    return folder


def _metadata(plugin: str, version: str, requires: Sequence[str], summary: str, description: str) -> str:
    head = ["Metadata-Version: 2.4", f"Name: crm-{plugin}", f"Version: {version}"]
    if summary:
        head.append(f"Summary: {summary}")
    return "\n".join([*head, *(f"Requires-Dist: {requirement}" for requirement in requires), "", description, ""])
