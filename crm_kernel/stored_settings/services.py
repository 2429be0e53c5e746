"""Changes settings in the database, and says what each is now and where that comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _
from sqlalchemy.dialects import postgresql, sqlite

from crm_kernel._internal.lifecycle import store
from crm_kernel._internal.modules import SettingRow
from crm_kernel._internal.runtime import runtime_of
from crm_kernel._internal.settings import IN_DATABASE, ROWS, Stored, opened, read_settings, seal_of, with_value
from crm_kernel.access.actor import Actor, Scope
from crm_kernel.access.audit import AuditRow, record_audit_many
from crm_kernel.access.masking import HIDDEN
from crm_kernel.access.services.limits import covers
from crm_kernel.config import Config, convert, variable_of
from crm_kernel.errors import ConfigError, Conflict, Forbidden, InvalidInput
from crm_kernel.records.sealing import keys_of, seal_field
from crm_kernel.stored_settings.declared import Declared, declared_setting, declared_settings

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork

#: What the audit log calls the changes.
RECORD_TYPE = "setting"
#: Longest text of a setting.
_LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class State:
    """A setting as it counts for every process that starts now."""

    declared: Declared
    #: None for a secret one, set or not.
    value: Any
    #: ``environment``, ``database``, ``file`` or ``default``.
    source: str
    #: The variable or the file; empty for the other two.
    place: str = ""
    #: When (ISO 8601) and by whom it was put into the database.
    at: str = ""
    by: str = ""
    #: Why what stands in the database is not used.
    problem: str = ""

    @property
    def changeable(self) -> bool:
        """Whether it can be changed here."""
        return not self.declared.kept_in_file and self.source != "environment"


def setting_states(uow: UnitOfWork) -> list[State]:
    """Return every setting with what it is now; one query."""
    stored = read_settings(uow.session.connection())
    return [_state(declared, stored.get(declared.name)) for declared in declared_settings()]


def setting_state(uow: UnitOfWork, name: str) -> State:
    """Return one setting with what it is now; one query.

    Raises:
        NotFound: no loaded module declares it.
    """
    return _state(declared_setting(name), read_settings(uow.session.connection()).get(name))


def change_setting(uow: UnitOfWork, name: str, raw: Any) -> bool:
    """Put a setting into the database and let the servers take it up; return False where it stood there already.

    Args:
        raw: the value, or its text as it would stand in an environment variable.

    Raises:
        NotFound: no loaded module declares it.
        Conflict: it can stand in the file only, or the environment decides.
        Forbidden: it leads links away, and the actor may not do everything.
        InvalidInput: the value does not fit; names ``value``.
    """
    declared = _changeable(name)
    _refuse_beyond(uow, name)
    value = checked(declared, raw)
    stored = read_settings(uow.session.connection()).get(name)
    if stored is not None and _told(declared, stored) == value:
        return False
    kept = seal_field("value", str(value), bound_to=seal_of(name)) if declared.secret else value
    _write(uow, name, Stored(kept, declared.secret, uow.now.isoformat(), uow.actor.name))
    _note(uow, name, _audited(declared, stored), HIDDEN if declared.secret else value)
    return True


def reset_setting(uow: UnitOfWork, name: str) -> bool:
    """Take a setting out of the database: file or default count again; return False where it was not there.

    Works for settings of modules that are gone, too.

    Raises:
        NotFound: no loaded module declares it, and none has left it.
        Forbidden: it leads links away, and the actor may not do everything.
    """
    _refuse_beyond(uow, name)
    stored = read_settings(uow.session.connection()).get(name)
    if stored is None:
        declared_setting(name)
        return False
    uow.session.execute(sa.delete(SettingRow).where(SettingRow.name == ROWS + name))
    _note(uow, name, HIDDEN if stored.sealed else stored.value, None)
    return True


def may_change(actor: Actor, name: str) -> bool:
    """Say whether an actor may change a setting: links for new passwords are led by who may do everything alone.

    Who decides the mail server, or the host of links, reads the link of an administrator and is one.
    """
    return actor.may("setting.update") and (not leads_links(name) or covers(actor, "*", Scope.ALL))


def leads_links(name: str) -> bool:
    """Say whether a setting decides where the links for new passwords go."""
    return name == "base_url" or name.startswith("mail_")


def checked(declared: Declared, raw: Any) -> Any:
    """Return a value as it is to be stored, checked by the setting's declaration.

    Raises:
        InvalidInput: naming ``value``.
    """
    try:
        value = convert(raw, declared.type, declared.name)
        if declared.check is not None:
            declared.check(value)
        if declared.name in IN_DATABASE:
            with_value(_beneath(), declared.name, value)
    except (ConfigError, ValueError) as error:
        raise InvalidInput({"value": [str(error)]}) from error
    if declared.choices and value not in declared.choices:
        known = ", ".join(map(str, declared.choices))
        raise InvalidInput({"value": [_("Found %(found)s, expected of: %(known)s.", found=value, known=known)]})
    if isinstance(value, str) and (len(value) > _LONGEST or "\x00" in value):
        raise InvalidInput({"value": [_("At most %(most)s characters.", most=_LONGEST)]})
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise InvalidInput({"value": [_("Expected a number.")]})
    return list(value) if isinstance(value, tuple) else value


def _refuse_beyond(uow: UnitOfWork, name: str) -> None:
    if leads_links(name) and not covers(uow.actor, "*", Scope.ALL):
        raise Forbidden(_("Only who may do everything decides where mails and the links in them go."))


def _changeable(name: str) -> Declared:
    declared = declared_setting(name)
    if declared.kept_in_file:
        place = _beneath().place_of(name)
        raise Conflict(f"{place}: {declared.kept_in_file}")
    if _beneath().in_environment(name):
        variable = variable_of(name)
        raise Conflict(_("%(variable)s in the environment decides about %(name)s.", variable=variable, name=name))
    return declared


def _state(declared: Declared, stored: Stored | None) -> State:
    config, name = _beneath(), declared.name
    given, source, place = _without_database(declared, config)
    if stored is None or source == "environment" or declared.kept_in_file:
        return State(declared, None if declared.secret else given, source, place)
    try:
        value = convert(opened(name, stored, keys_of(config)), declared.type, f"{name} in the database")
    except ConfigError as error:
        return State(declared, None if declared.secret else given, source, place, stored.at, stored.by, str(error))
    return State(declared, None if declared.secret else value, "database", "", stored.at, stored.by)


def _without_database(declared: Declared, config: Config) -> tuple[Any, str, str]:
    """Return value, source and place of a setting as environment, file and default give it."""
    section: Mapping[str, Any] = config.plugin_settings.get(declared.module, {})
    key = declared.name.removeprefix(f"{declared.module}.")
    if declared.module == "kernel":
        value, given = getattr(config, declared.name), getattr(config, declared.name) != declared.default
    else:
        given = key in section
        value = convert(section[key], declared.type, config.place_of(declared.name)) if given else declared.default
    if config.in_environment(declared.name):
        return value, "environment", variable_of(declared.name)
    return (value, "file", config.source) if given else (value, "default", "")


def _told(declared: Declared, stored: Stored) -> Any:
    try:
        return opened(declared.name, stored, keys_of(_beneath()))
    except ConfigError:
        return None  # sealed with another key: whatever it was, it is written anew


def _audited(declared: Declared, stored: Stored | None) -> Any:
    return None if stored is None else HIDDEN if declared.secret or stored.sealed else stored.value


def _beneath() -> Config:
    runtime = runtime_of(current_app)
    return runtime.without_database or runtime.config


def _write(uow: UnitOfWork, name: str, row: Stored) -> None:
    insert = postgresql.insert if uow.session.get_bind().dialect.name == "postgresql" else sqlite.insert
    value = asdict(row)
    statement = insert(SettingRow).values(name=ROWS + name, value=value)
    uow.session.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


def _note(uow: UnitOfWork, name: str, before: Any, after: Any) -> None:
    """Write the change into the audit log and let servers replace their workers after the commit."""
    change = AuditRow(None, {name: before}, {name: after})
    record_audit_many(uow, RECORD_TYPE, "updated", [change])
    connection = uow.session.connection()
    store.lock_modules(connection)
    store.raise_generation(connection)
