"""Automation rules as a record type: API, list, form, history and visibility by owner and team follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flask_babel import lazy_gettext as _l
from marshmallow import Schema, fields, validate

from crm_kernel.contributions import Permission
from crm_kernel.events.wording import event_choice
from crm_kernel.records.fields import Reference
from crm_kernel.records.plan import record_types as known_types
from crm_kernel.records.record_type import Action, FormSection, RecordType, Services
from crm_kernel.records.texts import Text
from crm_kernel.rules.models import Rule
from crm_kernel.rules.principals import AS_SYSTEM
from crm_kernel.rules.services import create_rule, delete_rule, disable_rule, enable_rule, update_rule
from crm_kernel.rules.subjects import event_classes

if TYPE_CHECKING:
    from crm_kernel.unit_of_work import UnitOfWork


def _type_options() -> dict[str, str]:
    return {name: str(found.label_plural) for name, found in known_types().items()}


def _event_options() -> dict[str, str]:
    return {"": "", **{name: event_choice(event) for name, event in event_classes().items()}}


class RuleSchema(Schema):
    """An automation rule."""

    name = Text(120, required=True, metadata={"label": _l("Name")})
    description = Text(metadata={"label": _l("Description")})
    enabled = fields.Boolean(dump_only=True, metadata={"label": _l("Enabled")})
    record_type = fields.String(
        required=True,
        validate=validate.Length(max=80),
        metadata={
            "label": _l("Records"),
            "widget": "choice",
            "options": _type_options,
            "show_as": "record_type",
            "help": _l("The rule is about records of this type."),
        },
    )
    event = Text(
        120,
        metadata={
            "label": _l("Event"),
            "widget": "choice",
            "options": _event_options,
            "show_as": "event",
            "help": _l("What it follows; left empty for a schedule."),
        },
    )
    cron = Text(
        120,
        metadata={"label": _l("Schedule"), "help": _l("Minute, hour, day of month, month, day of week: 30 7 * * 1-5.")},
    )
    timezone = Text(
        60,
        allow_none=False,
        load_default="site",
        metadata={"label": _l("Time zone"), "help": _l("site, user, or a name such as Europe/Paris.")},
    )
    condition = fields.Dict(keys=fields.String(), allow_none=True, metadata={"label": _l("Condition")})
    actions = fields.List(fields.Dict(), metadata={"label": _l("Actions")})
    as_system = fields.Boolean(
        metadata={
            "label": _l("Acts as the system"),
            "help": _l("With all rights, instead of those of whoever last changed it."),
        }
    )
    principal = Reference("user", attribute="principal_id", dump_only=True, metadata={"label": _l("Runs as")})
    owner = Reference("user", attribute="owner_id", allow_none=True, metadata={"label": _l("Owner")})
    team = Reference("team", attribute="team_id", allow_none=True, metadata={"label": _l("Team")})


def permissions() -> list[Permission]:
    """Return what may be granted beside the verbs of the record type."""
    return [Permission(name=AS_SYSTEM, label=_l("Automation rules: let them act as the system"))]


def record_types() -> list[RecordType]:
    """Return the record type ``rule``."""
    return [
        RecordType(
            name="rule",
            model=Rule,
            schema=RuleSchema,
            label=_l("Automation rule"),
            label_plural=_l("Automation rules"),
            slug="rules",
            icon="bolt",
            columns=("name", "record_type", "event", "cron", "enabled", "principal"),
            filters=("name", "record_type", "event", "enabled", "owner"),
            sorts=("name", "created_at"),
            default_sort="name",
            search=("name",),
            form=(
                FormSection(title=_l("Rule"), fields=("name", "description", "owner", "team", "as_system")),
                FormSection(title=_l("When"), fields=("record_type", "event", "cron", "timezone")),
            ),
            actions=(
                Action(
                    name="enable",
                    label=_l("Enable"),
                    service=enable_rule,
                    icon="player-play",
                    available=lambda rule: not rule.enabled,
                ),
                Action(
                    name="disable",
                    label=_l("Disable"),
                    service=disable_rule,
                    icon="player-pause",
                    color="danger",
                    available=lambda rule: bool(rule.enabled),
                ),
            ),
            services=Services(create=create_rule, update=update_rule, delete=delete_rule),
            verbs=("read", "create", "update", "delete"),
            nav_section="administration",
            nav_order=65,
            detail_template="rules/rule.html",
            detail_context=_detail,
        )
    ]


def _detail(uow: UnitOfWork, rule: Any) -> Mapping[str, Any]:
    from crm_kernel.rules.presenting import rule_context

    return rule_context(uow, rule)
