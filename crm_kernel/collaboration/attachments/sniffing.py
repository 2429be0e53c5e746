"""Finds out what a content is, from the content: the name and the header that a sender gives are not believed.

The name only chooses among kinds that begin alike: a spreadsheet and a text document are both zip archives.
"""

from __future__ import annotations

import re
import unicodedata

import puremagic
from flask_babel import gettext as _

from crm_kernel.errors import InvalidInput

UNKNOWN = "application/octet-stream"
_MOST_NAME = 255
#: What runs when somebody opens it.
_PROGRAMS = (b"MZ", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!")
#: Texts that are told apart by their name alone; each is harmless as a download.
_TEXTS = {
    "csv": "text/csv",
    "md": "text/markdown",
    "ics": "text/calendar",
    "vcf": "text/vcard",
    "json": "application/json",
}
#: What a browser might run as part of the page that led to it: named as plain bytes when it is served.
_ACTIVE = re.compile(r"html|svg|xml|script|flash|java", re.IGNORECASE)
#: Zip archives under another name; what puremagic knows of their first bytes is the same for all.
_ZIPPED = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
}


def media_type_of(head: bytes, name: str) -> str:
    """Return the media type of a content by its first bytes.

    Raises:
        InvalidInput: it is a program.
    """
    if head.startswith(_PROGRAMS):
        raise InvalidInput({"file": [_("Is a program, whatever its name says: programs are not taken.")]})
    extension = name.rpartition(".")[2].lower()
    if head.startswith(b"PK\x03\x04"):
        return _ZIPPED.get(extension, "application/zip")
    try:
        found = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        found = []
    kinds = [match.mime_type for match in found if match.mime_type]
    named = [match.mime_type for match in found if match.mime_type and match.extension == f".{extension}"]
    if kinds:
        return str((named or kinds)[0])[:120]
    return _TEXTS.get(extension, "text/plain") if _is_text(head) else UNKNOWN


def served_type(media_type: str) -> str:
    """Return the type under which a content is sent: plain bytes for whatever a browser could run."""
    return UNKNOWN if _ACTIVE.search(media_type) and "openxml" not in media_type else media_type


def clean_name(name: str) -> str:
    """Return a file's name without folders and characters that cannot be seen; ``file`` when nothing is left.

    Marks that turn the direction of writing are among them: ``exe.fdp`` would read as ``pdf.exe``.
    """
    last = re.split(r"[/\\\\]", name)[-1]
    kept = "".join(c for c in last if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
    plain = " ".join(kept.split()).strip(". ")
    if len(plain) <= _MOST_NAME:
        return plain or "file"
    stem, dot, extension = plain.rpartition(".")
    return f"{stem[: _MOST_NAME - 21]}.{extension[:20]}" if dot else plain[:_MOST_NAME]


def _is_text(head: bytes) -> bool:
    if b"\x00" in head:
        return False
    for cut in range(4):  # the head may end inside a character
        try:
            head[: len(head) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return True
    return False
