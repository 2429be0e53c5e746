"""The nightly scan for duplicates, as a job."""

from __future__ import annotations

from crm_kernel.contributions import Job, JobKind
from crm_kernel.customers.duplicates.scanning import scan

#: The job's name, for those who enqueue it.
SCAN = "kernel.scan_duplicates"


def jobs() -> list[Job]:
    """Return the scan, at night; its work grows with the customers changed since the last one."""
    return [Job(name=SCAN, handler=scan, kind=JobKind.CHUNKED, schedule="30 2 * * *", priority=10)]
