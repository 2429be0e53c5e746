"""The record types ``customer`` and ``relationship``: what they declare, everything else is derived."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_babel import lazy_pgettext

from crm_kernel.customers.bulk import create_customers, update_customers
from crm_kernel.customers.drafting import check_customer
from crm_kernel.customers.duplicates.likely import likely_customers, note_customers
from crm_kernel.customers.events import customer_updated
from crm_kernel.customers.models import Customer, Relationship
from crm_kernel.customers.panels import page_context, panels
from crm_kernel.customers.queries import visible_relationships
from crm_kernel.customers.relationships import create_relationship, delete_relationship, update_relationship
from crm_kernel.customers.schemas import CustomerSchema, RelationshipSchema
from crm_kernel.customers.services import create_customer, delete_customer, update_customer
from crm_kernel.records.names import said_name
from crm_kernel.records.record_type import FormSection, RecordType, Services

__all__ = ["panels", "record_types"]


def record_types() -> list[RecordType]:
    """Return the record types ``customer`` and ``relationship``."""
    return [_customer(), _relationship()]


def _customer() -> RecordType:
    return RecordType(
        name="customer",
        model=Customer,
        schema=CustomerSchema,
        label=_l("Customer"),
        label_plural=_l("Customers"),
        slug="customers",
        icon="users",
        title="display_name",
        said_title=said_name(Customer.kind, Customer.language, Customer.sort_name, Customer.display_name),
        columns=("display_name", "kind", "primary_email", "primary_phone", "city", "stage", "owner"),
        filters=(
            "kind", "display_name", "status", "stage", "owner", "team", "industry", "region", "employees",
            "annual_revenue", "city", "primary_email", "language", "source", "external_ref", "birth_date",
        ),
        sorts=("sort_name", "created_at"),
        default_sort="sort_name",
        search=("display_name", "legal_name", "contact_points", "identifiers"),
        form=_sections(),
        services=Services(
            create=create_customer,
            update=update_customer,
            delete=delete_customer,
            create_many=create_customers,
            update_many=update_customers,
            check=check_customer,
        ),
        updated=customer_updated,
        external_key=("source", "external_ref"),
        replaced_by="merged_into_id",
        nav_order=10,
        detail_template="customers/detail.html",
        detail_context=page_context,
        similar="duplicates.check_form",
        likely=likely_customers,
        note_likely=note_customers,
    )  # fmt: skip


def _sections() -> tuple[FormSection, ...]:
    return (
        FormSection(title=_l("Who"), fields=("kind", "display_name", "status", "stage", "owner", "team")),
        FormSection(
            title=_l("Person"),
            when=("kind", "person"),
            fields=("prefix", "given_name", "family_name", "suffix", "job_title", "birth_date"),
        ),
        FormSection(
            title=_l("Organization"),
            when=("kind", "organization"),
            fields=(
                "legal_name", "industry", "employees", "annual_revenue", "revenue_currency", "website", "region",
            ),
        ),
        FormSection(
            title=lazy_pgettext("customer", "Reach"),
            fields=("contact_points", "addresses", "language", "timezone"),
        ),
        FormSection(title=_l("More"), fields=("identifiers", "source", "external_ref", "notes")),
    )  # fmt: skip


def _relationship() -> RecordType:
    return RecordType(
        name="relationship",
        model=Relationship,
        schema=RelationshipSchema,
        label=_l("Relationship"),
        label_plural=_l("Relationships"),
        slug="relationships",
        icon="sitemap",
        title="type",
        columns=("from_customer", "type", "to_customer", "role", "valid_from", "valid_to"),
        filters=("from_customer", "to_customer", "type", "role", "valid_from", "valid_to"),
        sorts=("created_at",),
        form=(
            FormSection(
                title=_l("Relationship"),
                fields=("from_customer", "type", "to_customer", "role", "valid_from", "valid_to", "notes"),
            ),
        ),
        services=Services(create=create_relationship, update=update_relationship, delete=delete_relationship),
        customer="from_customer_id",
        visibility=visible_relationships,
        nav_section=None,
    )
