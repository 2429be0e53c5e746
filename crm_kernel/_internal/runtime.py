"""What one application carries: its configuration, plugins and registry, found through ``app.extensions["crm"]``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from crm_kernel._internal.manager import PluginManager
from crm_kernel._internal.registry import Registry
from crm_kernel.config import Config

if TYPE_CHECKING:
    from flask import Flask

EXTENSION = "crm"


@dataclass(slots=True)
class Runtime:
    """The parts of an application that are fixed once it is built."""

    config: Config
    manager: PluginManager
    registry: Registry
    #: Checked plugin settings: ``toybank.default_risk`` → value.
    settings: dict[str, Any] = field(default_factory=dict)
    #: The configuration without what stands in the database; ``config`` is with it.
    without_database: Config | None = None


def runtime_of(app: Flask) -> Runtime:
    """Return the runtime of an application built by ``create_app``."""
    return cast(Runtime, app.extensions[EXTENSION])
