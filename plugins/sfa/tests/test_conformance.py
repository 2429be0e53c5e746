"""What every plugin must keep to."""

from crm_kernel.testing.conformance import TestConformance  # noqa: F401
