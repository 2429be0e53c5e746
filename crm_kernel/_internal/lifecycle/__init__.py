"""The life of a module: what there is, what enabling would change, enable, disable, upgrade, uninstall, purge, restore.

Nothing here imports a plugin into the process that asks: ``inspection`` loads them in a process of its own, so that
the administrative commands work while a plugin is broken, and the rest works on wheel metadata and the database.
"""

from crm_kernel._internal.lifecycle.auditing import acting
from crm_kernel._internal.lifecycle.changes import (
    Change,
    Run,
    dependants,
    disable,
    enable,
    uninstall,
    upgrade_database,
    upgrade_modules,
)
from crm_kernel._internal.lifecycle.inspection import Inspection, inspect_modules
from crm_kernel._internal.lifecycle.planning import Plan, plan_module
from crm_kernel._internal.lifecycle.purging import Purge, purge
from crm_kernel._internal.lifecycle.restoring import restore
from crm_kernel._internal.lifecycle.states import (
    Explanation,
    ModuleState,
    explain,
    module_states,
    module_without_code,
    orphans,
    stored_failure,
)

__all__ = [
    "Change",
    "Explanation",
    "Inspection",
    "ModuleState",
    "Plan",
    "Purge",
    "Run",
    "acting",
    "dependants",
    "disable",
    "enable",
    "explain",
    "inspect_modules",
    "module_states",
    "module_without_code",
    "orphans",
    "plan_module",
    "purge",
    "restore",
    "stored_failure",
    "uninstall",
    "upgrade_database",
    "upgrade_modules",
]
