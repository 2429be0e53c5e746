"""Starts, watches and replaces the workers of ``crm serve``.

A new set of workers takes over only once all of them are ready; the old ones then finish what they have. When a set
fails to load, the old workers go on and the reason is stored and said.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crm_kernel.config import Config
from crm_kernel.errors import CrmError, DatabaseUnavailable, PluginError
from crm_kernel.server.children import Child, has_spoken, read_word, start_sibling, start_worker, wait_until_ready
from crm_kernel.server.order import Order
from crm_kernel.server.sockets import listen
from crm_kernel.server.watching import ModuleSet, current_generation, current_set, forget_failure, remember_failure

#: How long replaced workers are waited for before the new ones are said to serve.
_LEAVING_SECONDS = 10.0

#: Makes the command line of a sibling for a set of modules.
SiblingCommand = Callable[[Sequence[str]], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How to serve."""

    host: str
    port: int
    workers: int
    threads: int
    skip_failed: bool = False
    #: Name → command of the processes that live beside the workers, for example ``crm worker``.
    siblings: Mapping[str, SiblingCommand] = field(default_factory=dict)
    poll_seconds: float = 1.0
    boot_seconds: float = 120.0
    drain_seconds: float = 0.5
    grace_seconds: float = 30.0


@dataclass(slots=True)
class Supervisor:
    """One server. ``run`` blocks until SIGTERM or SIGINT; SIGHUP replaces the workers."""

    config: Config
    how: Serving
    _socket: socket.socket | None = None
    _serving: ModuleSet = field(default_factory=lambda: ModuleSet(-1, ()))
    _refused_generation: int | None = None
    _workers: list[Child] = field(default_factory=list)
    _leaving: list[Child] = field(default_factory=list)
    _siblings: dict[str, Child] = field(default_factory=dict)
    #: Sibling → (not before, pause that was made): restarts slow down while it keeps dying.
    _pauses: dict[str, tuple[float, float]] = field(default_factory=dict)
    _wake: threading.Event = field(default_factory=threading.Event)
    _stopping: bool = False
    _hangup: bool = False
    _database_trouble: bool = False

    def run(self) -> int:
        """Serve until told to stop; return the exit code.

        Raises:
            PortUnavailable: the port is taken.
            PluginError: the enabled modules cannot be loaded; names the module, the reason and the ways out.
            DatabaseUnavailable: the database cannot be reached.
        """
        self._serving = current_set(self.config)
        self._socket = listen(self.how.host, self.how.port)
        self._take_signals()
        self._workers = [self._start(number) for number in range(self.how.workers)]
        reason = wait_until_ready(self._workers, self.how.boot_seconds, lambda: self._stopping)
        if reason is not None:
            return self._give_up(reason)
        forget_failure(self.config)
        host, port = self._socket.getsockname()[:2]
        say(
            f"Serving on http://{f'[{host}]' if ':' in host else host}:{port} with {', '.join(self._names()) or 'no modules'}"
        )
        while not self._stopping:
            self._tend()
            self._follow()
            self._wake.wait(self.how.poll_seconds)
            self._wake.clear()
        return self._stop()

    def stop(self, *_: object) -> None:
        """Ask to stop; safe in a signal handler and from any thread."""
        self._stopping = True
        self._wake.set()

    def reload(self, *_: object) -> None:
        """Ask to replace the workers; safe in a signal handler and from any thread."""
        self._hangup = True
        self._wake.set()

    def _take_signals(self) -> None:
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        signal.signal(signal.SIGHUP, self.reload)

    def _names(self) -> Sequence[str]:
        return self._serving.modules

    def _start(self, number: int, modules: ModuleSet | None = None) -> Child:
        assert self._socket is not None
        source = Path(self.config.source)
        order = Order(
            socket_fd=self._socket.fileno(),
            life_fd=-1,
            ready_fd=-1,
            config_path=str(source) if source.is_file() else None,
            modules=(modules or self._serving).modules,
            skip_failed=self.how.skip_failed,
            threads=self.how.threads,
            drain_seconds=self.how.drain_seconds,
            grace_seconds=self.how.grace_seconds,
        )
        return start_worker(f"web worker {number + 1}", order)

    def _give_up(self, reason: str) -> int:
        for child in self._workers:
            child.kill()
        if self._stopping:
            return 0
        module, _, rest = reason.partition(": ")
        if module in self._serving.modules:
            raise PluginError(module, rest)
        raise CrmError(f"not started: {reason}")

    def _follow(self) -> None:
        """Replace the workers when the generation has changed, or a hang-up asks for it."""
        try:
            generation = current_generation(self.config)
            changed = generation not in (self._serving.generation, self._refused_generation)
            if not (changed or self._hangup):
                self._database_trouble = False
                return
            self._hangup = False
            found = current_set(self.config)
        except DatabaseUnavailable as error:
            if not self._database_trouble:  # said once, not every second
                say(f"The modules cannot be read, the workers go on: {error}")
            self._database_trouble = True
            return
        self._replace(found)

    def _replace(self, found: ModuleSet) -> None:
        say(f"Replacing the workers: {', '.join(found.modules) or 'no modules'}")
        fresh = [self._start(0, found)]  # one first: a set that does not load costs one process
        reason = wait_until_ready(fresh, self.how.boot_seconds, lambda: self._stopping)
        if reason is None:
            fresh += [self._start(number, found) for number in range(1, self.how.workers)]
            reason = wait_until_ready(fresh, self.how.boot_seconds, lambda: self._stopping)
        if reason is not None:
            self._refuse(fresh, found, reason)
            return
        old, self._workers, self._serving, self._refused_generation = self._workers, fresh, found, None
        for child in (*old, *self._siblings.values()):
            self._retire(child)
        self._siblings.clear()
        self._pauses.clear()
        forget_failure(self.config)
        # Until it has left, an old worker may still answer; on a loaded machine that takes its time.
        self._wait_for_leaving(self.how.drain_seconds + _LEAVING_SECONDS, lambda: self._stopping)
        say("The new workers serve.")

    def _refuse(self, fresh: Sequence[Child], found: ModuleSet, reason: str) -> None:
        for child in fresh:
            child.kill()
        if self._stopping:
            return
        self._refused_generation = found.generation
        remember_failure(self.config, found, reason)
        say(f"The new set of modules does not load, the workers of the set before go on: {reason}")

    def _retire(self, child: Child) -> None:
        child.let_go()
        self._leaving.append(child)

    def _wait_for_leaving(self, seconds: float, stopping: Callable[[], bool]) -> None:
        """Wait until the old processes are gone: idle ones leave at once, a long request may outlast the wait."""
        end = time.monotonic() + seconds
        while any(child.alive for child in self._leaving) and time.monotonic() < end and not stopping():
            time.sleep(0.05)

    def _tend(self) -> None:
        """Replace what died, start the siblings, bury what has left."""
        self._leaving = [child for child in self._leaving if child.alive]
        for number, child in enumerate(self._workers):
            if has_spoken(child) and (reason := read_word(child)):
                say(f"{child.name} cannot start: {reason}")
            if not child.alive and child.age_seconds > 1:  # at most one try a second
                say(f"{child.name} died with exit code {child.process.returncode}; replacing it")
                child.let_go()
                self._workers[number] = self._start(number)
        for name, command in self.how.siblings.items():
            self._tend_sibling(name, command)

    def _tend_sibling(self, name: str, command: SiblingCommand) -> None:
        now, child = time.monotonic(), self._siblings.get(name)
        if child is not None and not child.alive:
            last = self._pauses.get(name, (0.0, 0.5))[1]
            pause = 1.0 if child.age_seconds > 60 else min(30.0, last * 2)
            self._pauses[name] = (now + pause, pause)
            say(f"{name} died with exit code {child.process.returncode}; starting it again in {pause:g} s")
            child.let_go()
            del self._siblings[name]
        if name not in self._siblings and now >= self._pauses.get(name, (0.0, 0.0))[0]:
            self._siblings[name] = start_sibling(name, command(self._serving.modules))

    def _stop(self) -> int:
        say("Stopping: requests and jobs under way are finished.")
        if self._socket is not None:
            self._socket.close()
        for child in (*self._workers, *self._siblings.values()):
            self._retire(child)
        self._wait_for_leaving(self.how.drain_seconds + self.how.grace_seconds + 2, lambda: False)
        late = [child for child in self._leaving if child.alive]
        for child in late:
            child.kill()
        say("Stopped." if not late else f"Stopped; {', '.join(child.name for child in late)} had to be killed.")
        return 1 if late else 0


def say(text: str) -> None:
    """Write a message on stderr."""
    sys.stderr.write(f"crm serve: {text}\n")
    sys.stderr.flush()
