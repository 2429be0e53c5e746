"""Asks a module's own hooks: whoever implements one answers, in the caller's transaction.

How modules are found, ordered and checked is not here: see ``crm_kernel._internal.manager``. The kernel's own hooks are
in ``hookspecs`` and asked by the kernel.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from flask import current_app

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.errors import PluginError

P = ParamSpec("P")
R = TypeVar("R")


def ask(hook: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> list[tuple[str, R]]:
    """Ask every enabled module that implements a hook; return (module, answer) in the order in which modules load.

    That order never changes between processes: dependencies first, then by name. Who answers None has nothing to say and
    is left out. An exception of an implementation passes through: the caller's transaction is rolled back rather than
    going on without the answer.

    Args:
        hook: the function marked with ``@hookspec``; it stands in ``Plugin.hookspecs`` of the module that asks.
        args, kwargs: what the hook takes; implementations get those they name.

    Raises:
        PluginError: no module declares the hook.
        TypeError: an argument is missing or unknown.
    """
    manager, name = runtime_of(current_app).manager, hook.__name__
    if name not in manager.hooks:
        owner = name.partition("_")[0]
        raise PluginError(owner, f"hook {name}: found no declaration, expected it in hookspecs of the Plugin class")
    bound = inspect.signature(hook).bind(*args, **kwargs)
    bound.apply_defaults()
    return [(module, answer) for module, answer in manager.call(name, **bound.arguments) if answer is not None]
