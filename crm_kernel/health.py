"""What a health check is and finds; modules register theirs as any other contribution (``crm_kernel.contributions``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """The verdict of a health check, best first."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class HealthResult:
    """What a health check found, and the command or step that mends it."""

    health: Health
    message: str
    #: The command or step that mends it, empty when there is nothing to mend.
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """A named check of ``crm doctor``; ``run()`` is called inside an app context and reads only."""

    name: str
    label: str
    run: Callable[[], HealthResult]
