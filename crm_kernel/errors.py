"""Every error the kernel raises on purpose, under one ``CrmError``.

Edges (pages, API, CLI) translate these once: ``status`` is the HTTP status, ``exit_code`` the process's.
Nothing else in the project decides how an error looks outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar
from uuid import UUID


def N_(text: str) -> str:
    """Mark ``text`` for translation and return it unchanged; whoever shows it calls ``gettext``."""
    return text


class CrmError(Exception):
    """Base of every deliberate error; its text is fit for an end user and names what to do next."""

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    title: ClassVar[str] = N_("Internal error")


class ConfigError(CrmError):
    """A setting is unknown, missing or of the wrong type; the text names the key and the file."""

    exit_code: ClassVar[int] = 2
    title: ClassVar[str] = N_("Configuration error")


class DatabaseUnavailable(CrmError):
    """The database cannot be reached, is locked for too long, read-only or full."""

    status: ClassVar[int] = 503
    exit_code: ClassVar[int] = 1
    title: ClassVar[str] = N_("Database unavailable")


class UnitOfWorkError(CrmError):
    """The rules of the unit of work were broken (nested, missing, or written to while reading)."""


class PluginError(CrmError):
    """A plugin cannot be loaded or breaks a rule; carries the plugin's name."""

    exit_code: ClassVar[int] = 4
    title: ClassVar[str] = N_("Plugin error")

    def __init__(self, plugin: str, reason: str) -> None:
        super().__init__(f"{plugin}: {reason}")
        self.plugin = plugin
        self.reason = reason


class RegistrationError(PluginError):
    """A record that a plugin contributed is refused: plugin, item, what was found, what is expected."""

    def __init__(self, plugin: str, item: str, *, found: object, expected: str, hint: str = "") -> None:
        text = f"{item}: found {found!r}, expected {expected}"
        super().__init__(plugin, f"{text}. {hint}".rstrip(". ") + "." if hint else text)
        self.item = item


class Forbidden(CrmError):
    """The actor may not do this; nothing was written."""

    status: ClassVar[int] = 403
    exit_code: ClassVar[int] = 4
    title: ClassVar[str] = N_("Forbidden")


class Unauthenticated(CrmError):
    """Nobody is logged in, or the token is unknown, expired or revoked."""

    status: ClassVar[int] = 401
    title: ClassVar[str] = N_("Not authenticated")


class SecondFactorNeeded(Forbidden):
    """A role of the user asks for a second factor and he has set none up yet; until then he reaches only that page."""


class NotFound(CrmError):
    """No such record, or none that this actor may see (the two are indistinguishable on purpose)."""

    status: ClassVar[int] = 404
    exit_code: ClassVar[int] = 3
    title: ClassVar[str] = N_("Not found")


class Replaced(NotFound):
    """The record was merged into another one that the actor may see; its old id leads there."""

    def __init__(self, text: str, *, of: UUID, by: UUID) -> None:
        super().__init__(text)
        #: The id that was asked for, and that of the record in its place.
        self.of = of
        self.by = by


class Conflict(CrmError):
    """The record's state does not allow this (a won opportunity cannot be won again)."""

    status: ClassVar[int] = 409
    exit_code: ClassVar[int] = 5
    title: ClassVar[str] = N_("Conflict")


class StaleVersion(Conflict):
    """Somebody changed the record since it was read: the ``If-Match`` version is not the current one."""

    status: ClassVar[int] = 412
    title: ClassVar[str] = N_("Changed meanwhile")


class PreconditionRequired(CrmError):
    """A change was sent without ``If-Match``."""

    status: ClassVar[int] = 428
    title: ClassVar[str] = N_("Precondition required")


class InvalidInput(CrmError):
    """Input is refused field by field.

    Args:
        errors: mapping of field path (``"amount"``, ``"extensions.bank.iban"``) → messages.
    """

    status: ClassVar[int] = 422
    exit_code: ClassVar[int] = 2
    title: ClassVar[str] = N_("Invalid input")

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        self.errors = {field: [str(message) for message in messages] for field, messages in errors.items()}
        super().__init__("; ".join(f"{field}: {' '.join(found)}" for field, found in self.errors.items()))
