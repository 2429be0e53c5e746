"""Builds the web application: a list of named steps, nothing happens at import.

``create_app`` asks the database which modules are enabled and which settings stand there (on connections of its own,
closed before any worker forks), loads the modules, and mounts what they contribute.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from flask import Flask

from crm_kernel._internal.loading import load_plugins
from crm_kernel._internal.modules import enabled_modules
from crm_kernel._internal.runtime import EXTENSION, Runtime, runtime_of
from crm_kernel._internal.settings import digest_secret, laid_over, plugin_settings, stored_settings
from crm_kernel.config import Config, load_config
from crm_kernel.database import init_database
from crm_kernel.errors import PluginError

__all__ = ["create_app"]


def create_app(
    config: Config | None = None, *, modules: Collection[str] | None = None, skip_failed: bool = False
) -> Flask:
    """Return the application of an instance.

    Args:
        config: the settings; read from ``crm.toml`` and the environment if not given.
        modules: the modules to load; those the table ``module`` says if not given.
        skip_failed: start without the modules that fail, instead of refusing to start.

    Raises:
        ConfigError: a setting is wrong.
        PluginError: a module failed to load (a missing bank plugin is a missing KYC veto), or a route has no permission.
        DatabaseUnavailable: the enabled modules cannot be read.
    """
    from crm_kernel.access.oidc.offered import load_offered

    config = config or load_config()
    app = Flask("crm_kernel", static_folder=None, template_folder=None)
    attach_runtime(app, config, enabled_modules(config) if modules is None else modules, skip_failed)
    init_database(app)
    for step in _steps():
        step(app)
    load_offered(app)
    return app


def attach_runtime(app: Flask, config: Config, modules: Collection[str], skip_failed: bool) -> None:
    """Load the plugins and hang the runtime on the application.

    Raises:
        PluginError: a module failed and ``skip_failed`` is not set; the text names the ways out.
    """
    loaded = load_plugins(modules)
    if loaded.manager.failed and not skip_failed:
        name, reason = next(iter(sorted(loaded.manager.failed.items())))
        raise PluginError(name, f"{reason}\nWays out: crm modules disable {name} · start with --skip-failed")
    stored = stored_settings(config)
    runtime = Runtime(laid_over(config, stored), loaded.manager, loaded.registry, without_database=config)
    app.extensions[EXTENSION] = replace(runtime, settings=plugin_settings(runtime, stored))
    app.config.update(
        SQLALCHEMY_DATABASE_URI=config.database_url,
        SECRET_KEY=config.secret_key,
        SECRET_KEY_FALLBACKS=list(config.previous_secret_keys),
        CRM_DIGEST_SECRET=digest_secret(config, stored),
    )


def _steps() -> list[Any]:
    from crm_kernel.access.setup import init_access
    from crm_kernel.records.setup import init_records
    from crm_kernel.web.setup import init_web, seal_routes

    return [init_web, init_access, init_records, mount_blueprints, seal_routes]


def mount_blueprints(app: Flask) -> None:
    """Mount the plugins' blueprints under ``/<plugin>``, or where they say; those that describe themselves are documented."""
    from flask_smorest import Blueprint as DescribedBlueprint

    registry = runtime_of(app).registry
    for blueprint in registry.all("blueprints"):
        plugin = registry.owner("blueprints", blueprint.name)
        prefix = blueprint.url_prefix or ("" if plugin == "kernel" else f"/{plugin}")
        taker = app.extensions["crm_api"] if isinstance(blueprint, DescribedBlueprint) else app
        taker.register_blueprint(blueprint, url_prefix=prefix)
