"""Keeps a lease alive while a handler is busy outside the database."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crm_kernel.jobs.leases import LeaseLost

log = logging.getLogger("crm.jobs")


@contextmanager
def heartbeat(beat: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call ``beat`` every so many seconds, from a thread of its own, while the block runs.

    A beat that fails is logged and tried again; one that raises ``LeaseLost`` is the last.
    """
    over = threading.Event()
    thread = threading.Thread(target=_beat_until, args=(over, beat, seconds), name="crm-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _beat_until(over: threading.Event, beat: Callable[[], None], seconds: float) -> None:
    while not over.wait(seconds):
        try:
            beat()
        except LeaseLost as lost:
            log.warning("%s while its handler still runs: its end will not count", lost)
            return
        except Exception as error:  # the database may be away for a while; the handler goes on
            log.warning("a heartbeat failed: %s", " ".join(str(error).split()))
