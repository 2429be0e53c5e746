"""Mounts what the record types turn into: the API, its document, and the pages."""

from __future__ import annotations

from flask import Flask

from crm_kernel._internal.discovery import kernel_version
from crm_kernel._internal.runtime import runtime_of
from crm_kernel.records.api import register_api
from crm_kernel.records.openapi import make_api


def init_records(app: Flask) -> None:
    """Register API and pages of every record type of the loaded plugins."""
    from crm_kernel.access.api import token_api
    from crm_kernel.access.audit_reading.api import audit_api
    from crm_kernel.access.explain_api import explain_api
    from crm_kernel.collaboration.contributions import collaboration_apis
    from crm_kernel.customers.consent.api import consent_api
    from crm_kernel.customers.duplicates.api import duplicates_api
    from crm_kernel.customers.merging.api import merging_api
    from crm_kernel.customers.privacy.views import privacy_api
    from crm_kernel.events.inbound.api import source_api
    from crm_kernel.events.inbound.receiving import inbound_api
    from crm_kernel.events.webhooks.api import webhook_api
    from crm_kernel.records.importing.api import import_api
    from crm_kernel.records.pages.routes import register_pages
    from crm_kernel.rules.api import rules_api
    from crm_kernel.web.job_api import job_api
    from crm_kernel.web.job_schedule_api import job_schedule_api

    runtime = runtime_of(app)
    api = make_api(app, runtime.config.company_name, kernel_version())
    app.extensions["crm_api"] = api
    with app.app_context():
        for record_type in runtime.registry.all("record_types"):
            register_api(api, record_type)
        api.register_blueprint(token_api())
        api.register_blueprint(explain_api())
        api.register_blueprint(audit_api())
        api.register_blueprint(import_api())
        api.register_blueprint(job_api())
        api.register_blueprint(job_schedule_api())
        if runtime.registry.get("record_types", "consent") is not None:  # tests build applications of a few types
            api.register_blueprint(consent_api())
            api.register_blueprint(privacy_api())
            api.register_blueprint(merging_api())
            api.register_blueprint(duplicates_api())
        if runtime.registry.get("record_types", "attachment") is not None:
            for blueprint in collaboration_apis():
                api.register_blueprint(blueprint)
        if runtime.registry.get("record_types", "webhook") is not None:
            api.register_blueprint(webhook_api())
            api.register_blueprint(inbound_api())
            api.register_blueprint(source_api())
        if runtime.registry.get("record_types", "rule") is not None:
            api.register_blueprint(rules_api())
        register_pages(app)
