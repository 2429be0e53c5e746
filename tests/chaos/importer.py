"""The processes of the import's chaos tests: each line of the input forks one that imports, goes on, or undoes.

``{"url": …, "file": …, "output": FILE}`` begins the import of a file or goes on with the one there is; with
``"undo": true`` it takes it back. Chunks are small, so that a kill at any row meets another moment of one.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import configure_mappers

from crm_kernel.access.actor import SYSTEM
from crm_kernel.app import create_app
from crm_kernel.config import Config
from crm_kernel.records.importing import import_file, session, undoing
from crm_kernel.records.importing.continuing import resume
from crm_kernel.records.importing.mapping import plain_mapping
from crm_kernel.records.importing.models import ImportRun
from crm_kernel.unit_of_work import reading, writing


def run(url: str, file: str, undo: bool = False) -> None:
    """Do what is left of the import."""
    session.CHUNK = undoing.CHUNK = 20
    app = create_app(Config(database_url=url, secret_key="x" * 32), modules=())
    print("started", os.getpid(), flush=True)
    with app.app_context():
        with reading(SYSTEM) as uow:
            known = uow.session.execute(sa.select(ImportRun.uid, ImportRun.state)).first()
        if known is None:
            result = import_file(plain_mapping(Path(file), "customer"), Path(file), actor=SYSTEM)
            assert not result.refused, result.sources[0].errors[0].text
        elif undo and known.state != "undone":
            with writing(SYSTEM) as uow:
                undoing.begin_undo(uow, known.uid)
            undoing.undo(SYSTEM, known.uid)
        elif known.state == "running":
            resume(known.uid, actor=SYSTEM)
    print("stopped", flush=True)


def main() -> None:
    """Fork one process per line of the input; the system forgets those that end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    configure_mappers()
    for line in sys.stdin:
        wanted = json.loads(line)
        if os.fork() == 0:
            with Path(wanted.pop("output")).open("w", encoding="utf-8") as sys.stdout:
                run(**wanted)
            os._exit(0)


if __name__ == "__main__":
    main()
