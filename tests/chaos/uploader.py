"""Forks one process per line of its input that attaches a file and may die of it: ``uploader.py URL FOLDER TOKEN CUSTOMER``.

A line is ``POINT CONTENT``: the process kills itself at that step since the content began to arrive, 0 for never. It answers
``done ID STEPS`` when it survived, and each time ``ended``. A step is a call to the system or the database, or the return
from one: between two of them nothing changes outside of the process, so that no other moment of a kill makes a difference.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import Any

from crm_kernel.collaboration.attachments.storage import Folder

#: Modules in C through which files and databases are reached, and what reaches PostgreSQL in Python.
_OUTSIDE = frozenset({"posix", "_io", "sqlite3"})
_ASKING = frozenset({"execute", "executemany", "commit"})


class Fate:
    """Counts steps and kills the process at one of them."""

    def __init__(self, point: int) -> None:
        self.point, self.steps = point, 0

    def __call__(self, frame: Any, event: str, argument: Any) -> None:
        """Look at a call or a return, as ``sys.setprofile`` tells it."""
        if event.startswith("c_"):
            counts = (argument.__module__ or type(argument.__self__).__module__) in _OUTSIDE
        else:
            counts = frame.f_code.co_name in _ASKING and frame.f_globals["__name__"].startswith("psycopg.")
        if counts:
            self.steps += 1
            if self.steps == self.point:
                os.kill(os.getpid(), signal.SIGKILL)


def upload(client: Any, token: str, customer: str, point: int, content: str) -> None:
    """Attach a file by the API, and say so."""
    fate, receive = Fate(point), Folder.receive

    def received(*arguments: Any, **options: Any) -> Any:
        sys.setprofile(fate)
        return receive(*arguments, **options)

    Folder.receive = received  # type: ignore[method-assign]
    data = {"subject_type": "customer", "subject_id": customer, "file": (io.BytesIO(content.encode()), "a.txt")}
    answer = client.post("/api/attachments", data=data, headers={"Authorization": f"Bearer {token}"})
    sys.setprofile(None)
    assert answer.status_code == 201, answer.text
    print("done", answer.json["id"], fate.steps, flush=True)


def main(url: str, folder: str, token: str, customer: str) -> None:
    """Serve until the input ends."""
    from crm_kernel.testing.apps import build, let_go

    app = build(url, (), files_dir=folder)
    let_go(app)  # a connection must not be inherited by two processes
    print("ready", flush=True)
    for line in sys.stdin:
        point, content = line.split()
        if (process := os.fork()) == 0:
            upload(app.test_client(), token, customer, int(point), content)
            os._exit(0)
        os.waitpid(process, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
