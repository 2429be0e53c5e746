"""Why a log-in at a provider came to nothing; the page of it names the provider and the way back."""

from __future__ import annotations

from typing import ClassVar

from crm_kernel.errors import N_, CrmError


class LogInFailed(CrmError):
    """A log-in at an identity provider cannot be taken: its answer does not fit, or nobody here is meant by it."""

    status: ClassVar[int] = 403
    exit_code: ClassVar[int] = 4
    title: ClassVar[str] = N_("Log-in failed")
