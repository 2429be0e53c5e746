"""The supervisor's children: web workers joined by two pipes, and siblings (``crm worker``) joined by their stdin."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

from crm_kernel.server.order import Order


@dataclass(slots=True)
class Child:
    """A child process with the supervisor's ends of its pipes; -1 for closed."""

    name: str
    process: subprocess.Popen[bytes]
    life_fd: int = -1
    ready_fd: int = -1
    started: float = field(default_factory=time.monotonic)

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    @property
    def age_seconds(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started

    def let_go(self) -> None:
        """End the lifeline: a worker drains and exits, a sibling finishes its job and exits."""
        for fd in (self.life_fd, self.ready_fd):
            if fd >= 0:
                os.close(fd)
        self.life_fd = self.ready_fd = -1
        if self.process.stdin is not None:
            self.process.stdin.close()

    def kill(self) -> None:
        """End it at once; for a worker that never served."""
        self.process.kill()
        self.process.wait()
        self.let_go()


def start_worker(name: str, order: Order) -> Child:
    """Start a web worker on the order's socket; its pipes are made here."""
    life_read, life_write = os.pipe()
    ready_read, ready_write = os.pipe()
    order = replace(order, life_fd=life_read, ready_fd=ready_write)
    argv = [sys.executable, "-m", "crm_kernel.server.worker", json.dumps(asdict(order))]
    process = subprocess.Popen(
        argv,
        pass_fds=(order.socket_fd, life_read, ready_write),
        stdin=subprocess.DEVNULL,
        process_group=0,  # Ctrl-C in a terminal reaches the supervisor only
    )
    os.close(life_read)
    os.close(ready_write)
    return Child(name, process, life_write, ready_read)


def start_sibling(name: str, argv: Sequence[str]) -> Child:
    """Start another process that must stop when its stdin ends."""
    return Child(name, subprocess.Popen(list(argv), stdin=subprocess.PIPE, process_group=0))


def wait_until_ready(children: Sequence[Child], seconds: float, stopping: Callable[[], bool]) -> str | None:
    """Wait for every worker's word; return None when all are ready, else the first reason."""
    end = time.monotonic() + seconds
    waiting = [child for child in children if child.ready_fd >= 0]
    while waiting:
        if stopping():
            return "stopping"
        if time.monotonic() > end:
            return f"{waiting[0].name} was not ready after {seconds:g} s"
        for fd in select.select([child.ready_fd for child in waiting], [], [], 0.2)[0]:
            child = next(child for child in waiting if child.ready_fd == fd)
            if reason := read_word(child):
                return reason
            waiting.remove(child)
    return None


def read_word(child: Child) -> str | None:
    """Read a worker's word and close the pipe; return why it cannot serve, or None when it is ready."""
    word = os.read(child.ready_fd, 4096).decode(errors="replace")
    os.close(child.ready_fd)
    child.ready_fd = -1
    if word.startswith("+"):
        return None
    return word[1:] or f"{child.name} died while starting (exit code {child.process.wait()})"


def has_spoken(child: Child) -> bool:
    """Whether a word can be read without waiting."""
    return child.ready_fd >= 0 and bool(select.select([child.ready_fd], [], [], 0)[0])
