"""The environment in which the tests read the manual: a virtual environment like a reader's, made without a network.

It sees everything that is installed for the tests, and has a ``pip`` that knows one thing: to install the project of the
current folder in editable mode, and to take it out again. What pip itself does with wheels is tested by tests/packaging.
"""

from __future__ import annotations

import os
import random
import socket
import sys
import sysconfig
import venv
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_PIP = '''#!{python}
"""Installs the project of this folder in editable mode, or removes it."""

import shutil
import sys
import tomllib
from pathlib import Path

SITE = Path({site!r})
verb, name = sys.argv[1], sys.argv[-1]
if verb == "uninstall":
    stem = name.replace("-", "_")
    (SITE / f"{{stem}}.pth").unlink()
    for info in SITE.glob(f"{{stem}}-*.dist-info"):
        shutil.rmtree(info)
    print(f"Successfully uninstalled {{name}}")
    raise SystemExit
assert sys.argv[1:] == ["install", "--editable", "."], sys.argv
project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
stem = project["name"].replace("-", "_")
info = SITE / f"{{stem}}-{{project['version']}}.dist-info"
info.mkdir()
head = ["Metadata-Version: 2.4", f"Name: {{project['name']}}", f"Version: {{project['version']}}"]
head += [f"Summary: {{project['description']}}", *(f"Requires-Dist: {{r}}" for r in project["dependencies"])]
(info / "METADATA").write_text("\\n".join([*head, "", Path(project["readme"]).read_text()]))
groups = [
    "\\n".join([f"[{{group}}]", *(f"{{key}} = {{value}}" for key, value in points.items())])
    for group, points in project["entry-points"].items()
]
(info / "entry_points.txt").write_text("\\n\\n".join(groups) + "\\n")
(SITE / f"{{stem}}.pth").write_text(f"{{Path.cwd()}}\\n")
print(f"Successfully installed {{project['name']}}-{{project['version']}}")
'''
_CRM = "#!{python}\nfrom crm_cli.main import main\n\nmain()\n"


def environment_in(folder: Path) -> Mapping[str, str]:
    """Make the environment in a folder and return its variables; the server's port is a free one."""
    venv.create(folder, with_pip=False, symlinks=True)
    python, bin_folder = folder / "bin" / "python", folder / "bin"
    site = next((folder / "lib").glob("python3*/site-packages"))
    # addsitedir, not a plain path: the editable installs of the tests' own environment are .pth files, too.
    outer = [*_checkout(), sysconfig.get_path("purelib")]
    added = "; ".join(f"site.addsitedir({path!r})" for path in outer)
    (site / "outer.pth").write_text(f"import site; {added}\n", encoding="utf-8")
    _write_command(bin_folder / "pip", _PIP.format(python=python, site=str(site)))
    _write_command(bin_folder / "crm", _CRM.format(python=python))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CRM_", "PYTEST_", "COV_"))}
    path = os.pathsep.join([str(bin_folder), str(Path(sys.executable).parent), kept.get("PATH", "")])
    return {**kept, "PATH": path, "VIRTUAL_ENV": str(folder), "CRM_PORT": str(_free_port()), "NO_COLOR": "1"}


def _checkout() -> list[str]:
    root = Path(__file__).parent.parent.parent
    return [str(root), str(root / "cli")]


def _write_command(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
    path.chmod(0o755)


def _free_port() -> int:
    # The manual must know it before the server listens. Not one of those the system gives away by itself (from 32768 on
    # Linux): those are taken by every connection that somebody opens meanwhile.
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
