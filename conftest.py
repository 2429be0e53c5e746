"""Loads the testing kit when the kernel is not installed (a source tree on the path has no entry points)."""

from importlib import metadata

_KIT = "crm_kernel.testing.pytest_plugin"
_INSTALLED = any(point.value == _KIT for point in metadata.entry_points(group="pytest11"))

pytest_plugins = [] if _INSTALLED else [_KIT]
