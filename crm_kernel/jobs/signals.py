"""Wakes the runner of this process after a commit that stored work; it only saves waiting for the next poll."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from blinker import signal

_stored = signal("crm-work-stored")


def work_stored() -> None:
    """Tell the runners of this process, if any run, that there is work; carries no data on purpose."""
    _stored.send()


@contextmanager
def waking(wake: Callable[[], None]) -> Iterator[None]:
    """Call ``wake`` on every such commit while the block runs."""

    def receive(_sender: object) -> None:
        wake()

    # Held strongly: blinker keeps weak references by default and would forget a closure at once.
    _stored.connect(receive, weak=False)
    try:
        yield
    finally:
        _stored.disconnect(receive)
