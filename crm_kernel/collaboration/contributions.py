"""What the kernel contributes for working together: wiring only, called by ``crm_kernel.builtin``."""

from __future__ import annotations

from flask import Blueprint
from flask_babel import lazy_gettext as _l
from flask_smorest import Blueprint as ApiBlueprint

from crm_kernel import contributions as c
from crm_kernel.collaboration import record as notes
from crm_kernel.collaboration import views as note_views
from crm_kernel.collaboration.api import note_api
from crm_kernel.collaboration.attachments import record as attachments
from crm_kernel.collaboration.attachments import views as attachment_views
from crm_kernel.collaboration.attachments.health import health_checks
from crm_kernel.collaboration.jobs import tidying_jobs
from crm_kernel.collaboration.notifications import views as notification_views
from crm_kernel.collaboration.notifications.api import notification_api
from crm_kernel.collaboration.notifications.digests import digest_jobs
from crm_kernel.collaboration.notifications.kinds import notification_kinds
from crm_kernel.collaboration.tags import record as tags
from crm_kernel.collaboration.tags import views as tag_views
from crm_kernel.records.record_type import RecordType

__all__ = [
    "blueprints",
    "collaboration_apis",
    "health_checks",
    "jobs",
    "notification_kinds",
    "panels",
    "permissions",
    "record_types",
]


def record_types() -> list[RecordType]:
    """Return the record types of notes."""
    return [*notes.record_types(), *attachments.record_types(), *tags.record_types()]


def blueprints() -> list[Blueprint]:
    """Return the pages that no record type gives."""
    return [note_views.blueprint, notification_views.blueprint, attachment_views.blueprint, tag_views.blueprint]


def permissions() -> list[c.Permission]:
    """Return the permissions to write beside records: who has them writes where he sees the record."""
    return [
        c.Permission(name="note.create", label=_l("Write notes beside records"), limits_itself=True),
        c.Permission(name="attachment.create", label=_l("Attach files to records"), limits_itself=True),
        # Beside the record type's own: whoever may tag only what is his makes tags too.
        c.Permission(name="tag.create", label=_l("Make new tags"), limits_itself=True),
    ]


def collaboration_apis() -> list[ApiBlueprint]:
    """Return what the API has beside the record types' resources."""
    return [note_api(), notification_api(), attachment_views.attachment_api(), tag_views.tagging_api()]


def jobs() -> list[c.Job]:
    """Return the jobs of the night, and those that mail digests."""
    return [*tidying_jobs(), *digest_jobs()]


def panels() -> list[c.Panel]:
    """Return the cards on the pages of records."""
    return [*notes.panels(), *attachments.panels(), *tags.panels()]
