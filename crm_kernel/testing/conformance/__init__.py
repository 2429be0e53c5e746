"""The conformance kit: what every plugin must keep to, as tests that a plugin's suite takes over in one line.

With ``crm_plugins = ["bank"]`` in the suite's settings::

    from crm_kernel.testing.conformance import TestConformance

or, where a suite tests several plugins::

    class TestBank(ConformanceKit):
        plugin = "bank"

Each rule has an id, says why it exists, and returns one line per violation.
"""

from crm_kernel.testing.conformance.kit import ConformanceKit, TestConformance
from crm_kernel.testing.conformance.rule import RULES, Rule, Subject

__all__ = ["RULES", "ConformanceKit", "Rule", "Subject", "TestConformance"]
