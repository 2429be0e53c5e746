"""Where the workspace's texts are: its packages, what `make translations` finds in them, and their catalogues."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_keywords, parse_mapping_cfg
from babel.messages.pofile import read_po

ROOT = Path(__file__).parents[3]
#: The kernel's package, and that of every plugin in the workspace.
PACKAGES = [ROOT / "crm_kernel", *sorted(ROOT.glob("plugins/*/crm_*")), *sorted(ROOT.glob("plugins/verticals/*/crm_*"))]
PLUGINS = PACKAGES[1:]


def name_of(package: Path) -> str:
    """Return a package's name, which says as a test's parameter what is tested."""
    return package.name


def french_file(package: Path) -> Path:
    """Return the French catalogue of a package, there or not."""
    return package / "translations" / "fr" / "LC_MESSAGES" / "messages.po"


@cache
def french(package: Path) -> Catalog:
    """Return the French catalogue of a package; empty when there is none."""
    file = french_file(package)
    return read_po(io.BytesIO(file.read_bytes()), locale="fr") if file.exists() else Catalog("fr")


def messages(package: Path) -> Iterator[Message]:
    """Yield the entries of a package's French catalogue, without its header."""
    return (message for message in french(package) if message.id)


def texts(message: Message) -> list[str]:
    """Return a translation, one text per plural form."""
    return [message.string] if isinstance(message.string, str) else list(message.string or ("",))


@cache
def sources(package: Path) -> dict[tuple[str | None, str], str]:
    """Return (context, singular) → file and line of every text that the code and the templates of a package mark."""
    with (ROOT / "babel.cfg").open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    keywords = parse_keywords([*_DEFAULT, *re.findall(r"-k (\S+)", makefile)])
    found: dict[tuple[str | None, str], str] = {}
    for name, line, text, _comments, context in extract_from_dir(package, methods, options, keywords):
        singular = text if isinstance(text, str) else text[0]
        found.setdefault((context, singular), f"{package.name}/{name}:{line}")
    return found


#: What pybabel knows without being told.
_DEFAULT = ("_", "gettext", "ngettext:1,2", "N_", "pgettext:1c,2", "npgettext:1c,2,3")
