"""The declarative base of the module's tables, all named ``sfa_…``."""

from __future__ import annotations

from crm_kernel.plugin import plugin_base

Base = plugin_base("sfa")
