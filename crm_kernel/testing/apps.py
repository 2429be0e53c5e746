"""Applications for tests: built once per process and plugin set, given a fresh database for every test.

Building an application takes longer than most tests. What a test may change on it (its configuration, the limiter's
memory) is put back before the next one; a test that needs other settings builds its own with ``fresh``.
"""

from __future__ import annotations

import atexit
import secrets
import tempfile
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from crm_kernel.testing.databases import Databases

if TYPE_CHECKING:
    from flask import Flask

    from crm_kernel.config import Config


def config_for(database_url: str, **changes: Any) -> Config:
    """Return the settings tests run with: plain cookies, a random key, English first.

    ``changes`` are fields of ``Config``.
    """
    from crm_kernel.config import Config

    settings = {
        "secret_key": secrets.token_hex(32),
        "secure_cookies": False,
        "source": "the testing kit",
        "files_dir": files_folder(),
        **changes,
    }
    return Config(database_url=database_url, **settings)


@cache
def files_folder() -> str:
    """Return the folder of attached files of this process's applications; it goes with the process."""
    folder = tempfile.TemporaryDirectory(prefix="crm-files-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    return folder.name


def build(database_url: str, plugins: tuple[str, ...], **changes: Any) -> Flask:
    """Return a new application with these plugins, marked as under test.

    Raises:
        PluginError: a plugin cannot be loaded.
    """
    from crm_kernel.app import create_app

    app = create_app(config_for(database_url, **changes), modules=plugins)
    app.config["TESTING"] = True
    return app


@dataclass(slots=True)
class Apps:
    """The applications of one test process."""

    databases: Databases
    _built: dict[tuple[str, tuple[str, ...]], tuple[Flask, dict[str, Any]]] = field(default_factory=dict)

    def on_fresh_database(self, kind: str, plugins: tuple[str, ...]) -> Flask:
        """Return the application of a plugin set, its database new and its configuration as it was built."""
        name = "_".join(("app", *plugins))
        known = self._built.get((kind, plugins))
        if known is not None:
            let_go(known[0])
        url = self.databases.fresh(kind, plugins, name)
        if known is None:
            app = build(url, plugins)
            known = self._built[kind, plugins] = (app, dict(app.config))
        _restore(*known)
        return known[0]

    def close(self) -> None:
        """Close the connections of all applications."""
        for app, _config in self._built.values():
            let_go(app)


def let_go(app: Flask) -> None:
    """Close an application's connections; it opens new ones when it is used again."""
    from crm_kernel.database import db

    with app.app_context():
        db.session.remove()
        for engine in db.engines.values():
            engine.dispose()


def _restore(app: Flask, config: dict[str, Any]) -> None:
    app.config.clear()
    app.config.update(config)
    for limiter in app.extensions.get("limiter", ()):
        limiter.reset()
    if "crm_access" in app.extensions:  # what it remembers of users and tokens belongs to the last database
        app.extensions["crm_access"] = type(app.extensions["crm_access"])()
