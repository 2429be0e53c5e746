"""The test plugins keep to every rule of the conformance kit."""

from __future__ import annotations

import pytest

from crm_kernel.testing.conformance import ConformanceKit


class TestToyshop(ConformanceKit):
    """The second test plugin: an extension alone."""

    plugin = "toyshop"

    @pytest.fixture(autouse=True)
    def _installed(self, toyshop: str) -> None:
        """Put the toy shop on the path."""


class TestToybank(ConformanceKit):
    """The kit, as a plugin's suite uses it."""

    plugin = "toybank"

    @pytest.fixture(autouse=True)
    def _installed(self, toybank: str) -> None:
        """Put the toy bank on the path."""
