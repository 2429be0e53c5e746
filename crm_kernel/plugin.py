"""What a plugin author starts from: the ``Plugin`` class, the markers of hooks and ``plugin_base()``.

Nothing about discovery, order or loading is here: see ``crm_kernel._internal``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import registry as new_registry

from crm_kernel._internal.markers import hookimpl, hookspec
from crm_kernel.database import TYPES, metadata

__all__ = ["NAME_PATTERN", "Plugin", "hookimpl", "hookspec", "plugin_base"]

#: A plugin's name: also the prefix of its tables, permissions, settings, routes and templates.
NAME_PATTERN = re.compile(r"[a-z][a-z0-9]{1,30}\Z")


class Plugin:
    """Base class of every plugin: one subclass per distribution, named by its entry point in ``crm.plugins``.

    Version, summary and requirements are read from the wheel, never from this class, so that a plugin that cannot be
    imported can still be listed, explained and disabled.
    """

    #: The plugin's name; equals the name of its entry point.
    name: ClassVar[str]
    #: Modules with the plugin's tables, imported when the plugin loads; relative to its package.
    model_modules: ClassVar[tuple[str, ...]] = ()
    #: The hooks that the plugin asks others with ``ask``: functions of its ``contract`` marked with ``@hookspec``, whose
    #: names start with ``<plugin>_``. Known before any plugin's implementations are looked at.
    hookspecs: ClassVar[tuple[Callable[..., Any], ...]] = ()


def plugin_base(name: str) -> type[DeclarativeBase]:
    """Return the declarative base of one plugin: a registry of its own over the shared MetaData.

    A plugin with a wrong ``relationship()`` then breaks its own queries only, never the kernel's. Classes derived from
    the base must name a table that starts with ``<name>_``.

    Raises:
        TypeError: the name is malformed, or (when a class is defined) its table lacks the prefix.
    """
    if not NAME_PATTERN.match(name):
        raise TypeError(f"plugin_base({name!r}): a plugin's name is 2-31 lower-case letters and digits")

    class PluginModel(DeclarativeBase):
        __abstract__ = True
        registry = new_registry(metadata=metadata, type_annotation_map=TYPES)
        plugin_name = name

        def __init_subclass__(cls, **kwargs: Any) -> None:
            table = cls.__dict__.get("__tablename__")
            if table is not None and not table.startswith(f"{name}_"):
                raise TypeError(f"{cls.__module__}.{cls.__qualname__}: table {table!r} must start with '{name}_'")
            super().__init_subclass__(**kwargs)

    return PluginModel
