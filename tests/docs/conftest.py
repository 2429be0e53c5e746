"""Fixtures of the manual's tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def reference_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the Sphinx extension importable."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))


@pytest.fixture
def pages(reference_modules: None):
    """The generated pages: hooks, public names, errors, and the list of all."""
    from crm_reference import pages

    return pages


@pytest.fixture
def contributed(reference_modules: None):
    """What modules contribute: events, permissions, settings, tables."""
    from crm_reference import contributed

    return contributed


@pytest.fixture
def surface(reference_modules: None):
    """Template components, fixtures, commands."""
    from crm_reference import surface

    return surface


@pytest.fixture
def objects(reference_modules: None):
    """What describes classes by their fields."""
    from crm_reference import objects

    return objects
