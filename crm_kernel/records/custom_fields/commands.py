"""The commands that do what the pages of custom fields do, ready to be pasted into a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

#: Option of the service → the pair of flags that says yes or no.
_FLAGS = {
    "required": ("--required", "--optional"),
    "listed": ("--listed", "--unlisted"),
    "searchable": ("--searchable", "--unsearchable"),
    "indexed": ("--indexed", "--unindexed"),
}


def add_command(host: str, name: str, kind: str, options: Mapping[str, Any]) -> str:
    """Return the command that adds a field with these options of ``add_field``."""
    return " ".join(["crm fields add", *map(shlex.quote, (host, name)), "--kind", kind, *_arguments(options, new=True)])


def change_command(host: str, name: str, changes: Mapping[str, Any]) -> str:
    """Return the command that makes these changes of ``change_field``."""
    return " ".join([f"crm fields change {shlex.quote(host)} {name}", *_arguments(changes, new=False)])


def verb_command(verb: str, host: str, name: str, *rest: str) -> str:
    """Return the command of a verb that needs no options: ``archive``, ``restore``, ``remove``, ``move``."""
    return " ".join([f"crm fields {verb} {shlex.quote(host)} {name}", *rest])


def rule_command(role: str, host: str, name: str, access: str) -> str:
    """Return the command that says what a role leaves of a field; an empty access frees it."""
    about = f"{shlex.quote(role)} {shlex.quote(host)} {name}"
    return f"crm roles fields restrict {about} {access}" if access else f"crm roles fields free {about}"


def _arguments(options: Mapping[str, Any], *, new: bool) -> Iterator[str]:
    for option, flag in (("labels", "--label"), ("help", "--help-text")):
        for language, text in (options.get(option) or {}).items():
            yield f"{flag} {shlex.quote(f'{language}={text}')}"
    if options.get("choices"):
        yield f"--choices-json {shlex.quote(orjson.dumps(options['choices']).decode())}"
    if options.get("target"):
        yield f"--target {shlex.quote(options['target'])}"
    if options.get("multiline"):
        yield "--multiline"
    for option, (yes, no) in _FLAGS.items():
        if options.get(option) or (not new and option in options):
            yield yes if options[option] else no
    if "default" in options and (options["default"] is not None or not new):
        yield f"--default {shlex.quote(orjson.dumps(options['default']).decode())}"
    if options.get("section") or (not new and "section" in options):
        yield f"--section {shlex.quote(options['section'] or '')}"
    if options.get("position") is not None:
        yield f"--position {options['position']}"
