"""Checks the plugins' settings of the configuration against what the loaded plugins declare."""

from __future__ import annotations

import logging
from typing import Any

from crm_kernel._internal.runtime import Runtime
from crm_kernel.config import convert
from crm_kernel.errors import ConfigError

log = logging.getLogger("crm.config")


def plugin_settings(runtime: Runtime) -> dict[str, Any]:
    """Return setting name → typed value, defaults included.

    A section of a module that is not loaded is kept inert with a warning: disabling must not break the start.

    Raises:
        ConfigError: a loaded plugin does not know the setting, or the value is of the wrong type.
    """
    declared = {setting.name: setting for setting in runtime.registry.all("settings")}
    values = {name: setting.default for name, setting in declared.items()}
    for plugin, section in runtime.config.plugin_settings.items():
        if plugin not in runtime.manager.names:
            log.warning("settings of [%s] in %s are not used: the module is not loaded", plugin, runtime.config.source)
            continue
        for key, raw in section.items():
            name = f"{plugin}.{key}"
            if name not in declared:
                known = ", ".join(sorted(n for n in declared if n.startswith(f"{plugin}."))) or "none"
                raise ConfigError(f"{runtime.config.place_of(name)}: unknown setting; known: {known}")
            values[name] = convert(raw, declared[name].type, runtime.config.place_of(name))
    return values
