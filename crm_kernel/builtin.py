"""The kernel's own contributions, through the same hooks as any plugin's: wiring only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint

from crm_kernel import contributions as c
from crm_kernel.access import explain_pages
from crm_kernel.access import record as access
from crm_kernel.access import reset as password_resets
from crm_kernel.access.actor import Actor
from crm_kernel.access.audit_chain.sealing import seal_jobs
from crm_kernel.access.audit_reading import pages as audit_pages
from crm_kernel.access.audit_reading.checks import check_jobs
from crm_kernel.access.invitations import mails as invitation_mails
from crm_kernel.access.invitations import public as invitation_pages
from crm_kernel.access.oidc import record as identity_providers
from crm_kernel.access.panels import panels as access_panels
from crm_kernel.access.policy import holds
from crm_kernel.access.user_sessions import session_jobs
from crm_kernel.collaboration import contributions as collaboration
from crm_kernel.customers import events as customer_events
from crm_kernel.customers import record as customers
from crm_kernel.customers import views as customer_views
from crm_kernel.customers.consent import asking as consent_requests
from crm_kernel.customers.consent import clerk as consent_pages
from crm_kernel.customers.consent import public as preference_pages
from crm_kernel.customers.consent import record as consents
from crm_kernel.customers.consent import rules as contact_rules
from crm_kernel.customers.duplicates import views as duplicate_views
from crm_kernel.customers.duplicates.jobs import jobs as duplicate_jobs
from crm_kernel.customers.merging import views as merge_views
from crm_kernel.customers.privacy import record as privacy
from crm_kernel.customers.privacy import retention_pages
from crm_kernel.customers.privacy import views as privacy_pages
from crm_kernel.customers.privacy.retention import jobs as retention_jobs
from crm_kernel.demo import demo_data
from crm_kernel.events import Event
from crm_kernel.events.inbound import record as inbound
from crm_kernel.events.inbound import views as inbound_views
from crm_kernel.events.webhooks import events as webhook_events
from crm_kernel.events.webhooks import record as webhooks
from crm_kernel.events.webhooks import views as webhook_views
from crm_kernel.jobs.housekeeping import housekeeping_jobs
from crm_kernel.mail import health as mail_health
from crm_kernel.plugin import Plugin, hookimpl
from crm_kernel.records import events as record_events
from crm_kernel.records.bulk_actions import record as bulk_runs
from crm_kernel.records.bulk_actions.running import jobs as bulk_jobs
from crm_kernel.records.custom_fields import record as custom_fields
from crm_kernel.records.custom_fields.indexing import index_jobs
from crm_kernel.records.importing import runs as import_runs
from crm_kernel.records.importing import views as import_views
from crm_kernel.records.importing.jobs import import_jobs
from crm_kernel.records.palette import views as palette_views
from crm_kernel.records.record_type import RecordType
from crm_kernel.records.saved_views import record as saved_views
from crm_kernel.records.saved_views import views as view_pages
from crm_kernel.rules import jobs as rule_jobs
from crm_kernel.rules import kernel_actions, replay_jobs, webhook_action
from crm_kernel.rules import pages as rule_pages
from crm_kernel.rules import record as rules
from crm_kernel.sales import events as sales_events
from crm_kernel.sales import file_pages as rate_files
from crm_kernel.sales import pages as rate_pages
from crm_kernel.sales import record as sales
from crm_kernel.sales import revaluing
from crm_kernel.touchpoints import events as touchpoint_events
from crm_kernel.touchpoints import record as touchpoints
from crm_kernel.web import admin, job_pages, schedule_pages
from crm_kernel.web.idempotency.expiry import expiry_jobs
from crm_kernel.web.tiles import tiles


class KernelPlugin(Plugin):
    """Customers, touch points, sales and access, registered as a plugin would."""

    name = "kernel"

    @hookimpl
    def crm_register_record_types(self) -> Sequence[RecordType]:
        """Return the kernel's record types."""
        return [
            *customers.record_types(),
            *consents.record_types(),
            *privacy.record_types(),
            *touchpoints.record_types(),
            *sales.record_types(),
            *access.record_types(),
            *identity_providers.record_types(),
            *custom_fields.record_types(),
            *saved_views.record_types(),
            *collaboration.record_types(),
            *webhooks.record_types(),
            *bulk_runs.bulk_record_types(),
            *rules.record_types(),
            *inbound.record_types(),
        ]

    @hookimpl
    def crm_register_events(self) -> Sequence[type[Event]]:
        """Return the kernel's events."""
        return [
            *customer_events.EVENTS,
            *record_events.EVENTS,
            *touchpoint_events.EVENTS,
            *sales_events.EVENTS,
            *webhook_events.EVENTS,
        ]

    @hookimpl
    def crm_register_blueprints(self) -> Sequence[Blueprint]:
        """Return the kernel's own pages that no record type gives."""
        return [
            customer_views.blueprint,
            merge_views.blueprint,
            duplicate_views.blueprint,
            job_pages.blueprint,
            schedule_pages.blueprint,
            audit_pages.blueprint,
            explain_pages.blueprint,
            view_pages.blueprint,
            palette_views.blueprint,
            preference_pages.blueprint,
            consent_pages.blueprint,
            privacy_pages.blueprint,
            retention_pages.blueprint,
            admin.blueprint(),
            invitation_pages.blueprint,
            *collaboration.blueprints(),
            webhook_views.blueprint,
            rule_pages.blueprint,
            import_views.blueprint,
            inbound_views.blueprint,
            rate_pages.blueprint,
            rate_files.blueprint,
        ]

    @hookimpl
    def crm_register_permissions(self) -> Sequence[c.Permission]:
        """Return the kernel's permissions that no record type has."""
        return [
            *merge_views.permissions(),
            *job_pages.permissions(),
            *import_runs.permissions(),
            *audit_pages.permissions(),
            *privacy.permissions(),
            *admin.permissions(),
            *collaboration.permissions(),
            *rules.permissions(),
            *custom_fields.permissions(),
            *revaluing.permissions(),
        ]

    @hookimpl
    def crm_register_nav(self) -> Sequence[c.NavItem]:
        """Return the kernel's entries of the navigation that no record type has."""
        return [
            *duplicate_views.nav(),
            *job_pages.nav(),
            *audit_pages.nav(),
            *admin.nav(),
            *import_views.nav(),
            *rate_pages.nav(),
            *rate_files.nav(),
        ]

    @hookimpl
    def crm_register_panels(self) -> Sequence[c.Panel]:
        """Return the kernel's own cards on the pages of customers and users."""
        return [
            *customers.panels(),
            *merge_views.panels(),
            *consents.panels(),
            *privacy.panels(),
            *sales.panels(),
            *access_panels(),
            *identity_providers.panels(),
            *collaboration.panels(),
        ]

    @hookimpl
    def crm_register_dashboard_tiles(self) -> Sequence[c.DashboardTile]:
        """Return the kernel's own cards on the start page."""
        return tiles()

    @hookimpl
    def crm_register_contact_rules(self) -> Sequence[c.ContactRule]:
        """Return the kernel's reasons not to contact customers."""
        return contact_rules.contact_rules()

    @hookimpl
    def crm_register_rule_actions(self) -> Sequence[c.RuleAction]:
        """Return what the kernel offers to automation rules."""
        return [*kernel_actions.rule_actions(), *webhook_action.webhook_actions()]

    @hookimpl
    def crm_register_jobs(self) -> Sequence[c.Job]:
        """Return the kernel's own jobs."""
        return [
            *housekeeping_jobs(),
            *duplicate_jobs(),
            *seal_jobs(),
            *session_jobs(),
            *check_jobs(),
            *consent_requests.jobs(),
            *retention_jobs(),
            *collaboration.jobs(),
            *expiry_jobs(),
            *webhooks.jobs(),
            *bulk_jobs(),
            *index_jobs(),
            *invitation_mails.jobs(),
            *password_resets.jobs(),
            *rule_jobs.rule_jobs(),
            *replay_jobs.replay_jobs(),
            *import_jobs(),
            *inbound.jobs(),
            *revaluing.jobs(),
        ]

    @hookimpl
    def crm_register_notification_kinds(self) -> Sequence[c.NotificationKind]:
        """Return what the kernel itself tells users."""
        return [*collaboration.notification_kinds(), *webhooks.notification_kinds()]

    @hookimpl
    def crm_register_health_checks(self) -> Sequence[c.HealthCheck]:
        """Return what ``crm doctor`` looks at beside database and modules."""
        return [*collaboration.health_checks(), *mail_health.health_checks()]

    @hookimpl
    def crm_register_inbound_webhooks(self) -> Sequence[c.InboundWebhook]:
        """Return the kernel's own kind of messages: customers and contacts with them."""
        return inbound.kinds()

    @hookimpl
    def crm_register_import_mappings(self) -> Sequence[c.ImportMapping]:
        """Return the mappings of files that no module of its own reads."""
        return sales.import_mappings()

    @hookimpl
    def crm_register_demo_data(self) -> Sequence[c.DemoData]:
        """Return the kernel's part of the demo company."""
        return demo_data()

    @hookimpl
    def crm_authorize(self, actor: Actor, permission: str, subject: Any) -> bool | None:
        """Grant what the actor's roles grant, within their scope."""
        return holds(actor, permission, subject)
