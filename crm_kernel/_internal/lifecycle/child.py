"""The child process of ``inspection``: builds the application and writes what it found as JSON.

Run as ``python -m crm_kernel._internal.lifecycle.child ANSWER``, the order on stdin; a plugin may print what it likes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crm_kernel.config import Config
from crm_kernel.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from flask import Flask

    from crm_kernel._internal.runtime import Runtime


def main() -> None:
    """Read the order, load, write the answer."""
    order = json.load(sys.stdin)
    sys.path[:] = order["path"]
    Path(sys.argv[1]).write_text(json.dumps(answer(order)), encoding="utf-8")


def answer(order: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report on the order's modules, or the settings' fault."""
    config = Config(**{**order["config"], "modules": (), "languages": tuple(order["config"]["languages"])})
    failed: dict[str, str] = {}
    wanted = set(order["modules"])
    while True:
        try:
            return _described(_build(config, wanted), failed)
        except ConfigError as error:
            return {"settings": str(error)}
        except PluginError as error:
            # Refused while mounting (a route without permission): the others are judged without it.
            if error.plugin not in wanted:
                raise
            failed[error.plugin] = error.reason
            wanted.discard(error.plugin)


def _build(config: Config, modules: set[str]) -> Flask:
    from crm_kernel.app import create_app

    return create_app(config, modules=modules, skip_failed=True)


def _described(app: Flask, failed: Mapping[str, str]) -> dict[str, Any]:
    from crm_kernel._internal.lifecycle.data_map import data_map_of
    from crm_kernel._internal.runtime import runtime_of

    runtime = runtime_of(app)
    loaded = [name for name in runtime.manager.loaded if name != "kernel"]
    return {
        "loaded": loaded,
        "failed": {**runtime.manager.failed, **failed},
        "contributions": {name: _names(runtime, name) for name in loaded},
        "routes": {name: _routes(app, name) for name in loaded},
        "permissions": {name: _permissions(runtime, name) for name in loaded},
        "data_map": {name: data_map_of(name) for name in ("kernel", *loaded)},
    }


def _names(runtime: Runtime, plugin: str) -> dict[str, list[str]]:
    return {
        kind: sorted(str(record.name) for record in records)
        for kind, records in runtime.registry.of_plugin(plugin).items()
        if records
    }


def _permissions(runtime: Runtime, plugin: str) -> list[str]:
    return sorted(name for name in runtime.registry.permissions() if name.startswith(f"{plugin}."))


def _routes(app: Flask, plugin: str) -> list[str]:
    found = []
    for rule in app.url_map.iter_rules():
        parts = rule.rule.strip("/").split("/")
        if plugin in parts[:1] or parts[:2] == ["api", plugin]:
            methods = ",".join(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}))
            found.append(f"{methods} {rule.rule}")
    return sorted(set(found), key=lambda text: text.partition(" ")[2])


if __name__ == "__main__":
    main()
