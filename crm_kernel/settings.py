"""Reads the value of a plugin's setting, as the configuration gives it or its declaration's default."""

from __future__ import annotations

from typing import Any

from flask import current_app

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.errors import ConfigError


def setting(name: str) -> Any:
    """Return the typed value of a setting that a loaded plugin declares: ``setting("toybank.default_risk")``.

    Raises:
        ConfigError: no loaded plugin declares it.
    """
    values = runtime_of(current_app).settings
    if name not in values:
        known = ", ".join(sorted(values)) or "none"
        raise ConfigError(f"{name}: no loaded plugin declares this setting; declared: {known}")
    return values[name]
