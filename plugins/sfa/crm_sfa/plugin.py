"""Wiring of the sales module: what it contributes, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Blueprint
from flask_babel import lazy_gettext as _l

from crm_kernel.contributions import (
    DashboardTile,
    DemoData,
    HealthCheck,
    ImportMapping,
    InProgress,
    NavItem,
    NotificationKind,
    PaletteCommand,
    Panel,
    Permission,
    RuleAction,
)
from crm_kernel.events import Event
from crm_kernel.plugin import Plugin, hookimpl
from crm_kernel.records.record_type import RecordType
from crm_sfa.contract import EVENTS
from crm_sfa.demo import load_demo
from crm_sfa.health import check_pipelines
from crm_sfa.opportunities.panels import customer_context, customer_panel, history_panel, workload_tile
from crm_sfa.opportunities.record import OPPORTUNITY
from crm_sfa.opportunities.rule_actions import rule_actions
from crm_sfa.pipelines.record import PIPELINE, STAGE
from crm_sfa.reports.views import blueprint

if TYPE_CHECKING:
    from crm_kernel.customers.models import Customer
    from crm_kernel.unit_of_work import UnitOfWork

_MAPPINGS = Path(__file__).parent / "mappings"


class SfaPlugin(Plugin):
    """Sales force automation."""

    name = "sfa"
    model_modules = (".pipelines.models", ".opportunities.models")

    @hookimpl
    def crm_register_permissions(self) -> Sequence[Permission]:
        """Return the permission of the dashboard."""
        return [Permission(name="sfa.dashboard.read", label=_l("Open the pipeline dashboard"), limits_itself=True)]

    @hookimpl
    def crm_register_record_types(self) -> Sequence[RecordType]:
        """Return opportunities, pipelines and stages."""
        return [OPPORTUNITY, PIPELINE, STAGE]

    @hookimpl
    def crm_register_blueprints(self) -> Sequence[Blueprint]:
        """Return the pages no record type gives."""
        return [blueprint]

    @hookimpl
    def crm_register_nav(self) -> Sequence[NavItem]:
        """Return the entry of the dashboard."""
        return [
            NavItem(
                name="sfa.dashboard",
                label=_l("Pipeline dashboard"),
                endpoint="sfa.dashboard",
                icon="chart-funnel",
                permission="sfa.dashboard.read",
                section="insight",
                order=10,
            )
        ]

    @hookimpl
    def crm_register_palette_commands(self) -> Sequence[PaletteCommand]:
        """Return the lists that sellers open all day."""
        mine = {"owner": "me", "status": "open"}
        return [
            PaletteCommand(
                name="sfa.my_opportunities",
                label=_l("My open opportunities"),
                endpoint="records.sfa_opportunity_list",
                permission="sfa.opportunity.read",
                arguments=mine,
                icon="target",
                keywords="deals",
            ),
            PaletteCommand(
                name="sfa.board",
                label=_l("Pipeline board"),
                endpoint="records.sfa_opportunity_list",
                permission="sfa.opportunity.read",
                arguments={"view": "board"},
                icon="layout-kanban",
                keywords="kanban deals",
            ),
        ]

    @hookimpl
    def crm_register_panels(self) -> Sequence[Panel]:
        """Return the customer's open opportunities and an opportunity's way through the stages."""
        return [
            Panel(
                name="sfa.open_opportunities",
                label=_l("Open opportunities"),
                template="sfa/customer_panel.html",
                load=customer_panel,
                permission="sfa.opportunity.read",
                icon="target-arrow",
                order=30,
            ),
            Panel(
                name="sfa.stage_history",
                label=_l("Way through the stages"),
                template="sfa/history_panel.html",
                load=history_panel,
                permission="sfa.opportunity.read",
                host="sfa.opportunity",
                icon="history",
            ),
        ]

    @hookimpl
    def crm_register_dashboard_tiles(self) -> Sequence[DashboardTile]:
        """Return the start page's card: what the user has in hand."""
        return [
            DashboardTile(
                name="sfa.workload",
                label=_l("My opportunities"),
                template="sfa/workload_tile.html",
                load=workload_tile,
                permission="sfa.opportunity.read",
                order=20,
            )
        ]

    @hookimpl
    def crm_register_notification_kinds(self) -> Sequence[NotificationKind]:
        """Return how a representative hears of an opportunity that becomes his."""
        return [
            NotificationKind(
                name="sfa.opportunity_assigned",
                label=_l("An opportunity is assigned to me"),
                text=_l("%(actor)s gave you the opportunity %(title)s"),
                icon="target-arrow",
                email="immediate",
                assignment_of="sfa.opportunity",
            )
        ]

    @hookimpl
    def crm_register_events(self) -> Sequence[type[Event]]:
        """Return the events of the contract."""
        return EVENTS

    @hookimpl
    def crm_register_health_checks(self) -> Sequence[HealthCheck]:
        """Return the check that every pipeline can be won and lost in."""
        return [HealthCheck(name="sfa.pipelines", label=_l("Pipelines"), run=check_pipelines)]

    @hookimpl
    def crm_register_import_mappings(self) -> Sequence[ImportMapping]:
        """Return the mapping of the CRM sales export."""
        return [
            ImportMapping(
                name="crm_sales",
                label=_l("CRM sales export: accounts, products, sales teams, pipeline"),
                path=_MAPPINGS / "crm_sales.toml",
            )
        ]

    @hookimpl
    def crm_register_rule_actions(self) -> Sequence[RuleAction]:
        """Return what automation rules may do in sales."""
        return rule_actions()

    @hookimpl
    def crm_register_demo_data(self) -> Sequence[DemoData]:
        """Return the demo company's opportunities."""
        return [DemoData(name="sfa.opportunities", load=load_demo, order=60)]

    @hookimpl
    def crm_customer_context(self, uow: UnitOfWork, customer: Customer) -> Sequence[InProgress]:
        """Return the customer's open opportunities."""
        return customer_context(uow, customer)
