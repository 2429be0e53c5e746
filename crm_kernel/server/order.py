"""What the supervisor tells a worker, as JSON in its first argument."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Order:
    """What the supervisor asks of a worker; no secrets, because every user of the machine can read arguments."""

    #: File descriptors inherited from the supervisor.
    socket_fd: int
    life_fd: int
    ready_fd: int
    #: The configuration file; None to look for it as the command line does.
    config_path: str | None
    modules: tuple[str, ...]
    skip_failed: bool
    threads: int
    #: How long connections that were accepted but not yet read get served.
    drain_seconds: float
    #: How long a request under way may still take.
    grace_seconds: float
