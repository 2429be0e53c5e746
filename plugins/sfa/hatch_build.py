"""Build hook of the wheel: compiles the translations, because compiled catalogs are not in git."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface[Any]):
    """Compiles what changed, then tells hatchling to ship it although git ignores it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run before every build; `version` is `editable` or `standard`."""
        compile_translations(Path(self.root))
        build_data["artifacts"].append("*.mo")


def compile_translations(root: Path) -> None:
    """Compile every `<package>/translations/<language>/LC_MESSAGES/*.po` below `root` that changed since its `.mo`."""
    for source in sorted(root.glob("*/translations/*/LC_MESSAGES/*.po")):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        from babel.messages.mofile import write_mo
        from babel.messages.pofile import read_po

        with source.open("rb") as po, target.open("wb") as mo:
            write_mo(mo, read_po(po, locale=source.parts[-3]))
