"""Forks one worker per line of its input, on an instance of the toy records: ``bulk_worker.py URL``; prints their process ids.

Everything is imported before, so that a worker is killed at its work and not while Python starts.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "fixtures" / "toyrecords"))


def main() -> None:
    """Serve until the input ends."""
    from crm_kernel.jobs.runner import Runner
    from crm_kernel.records.bulk_actions import running
    from crm_kernel.testing.apps import build

    running.CHUNK = 4
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    app = build(sys.argv[1], ("toyrecords",))
    print("ready", flush=True)
    for name in sys.stdin:
        if pid := os.fork():
            print(pid, flush=True)
            continue
        Runner(app, name.strip(), poll_seconds=0.05, lease_seconds=0.5).run_forever(threading.Event())


if __name__ == "__main__":
    main()
