"""Runs a page of the manual: its files are written, its commands run, their output compared.

A block is a fenced piece of the page. `` ```{code-block} python`` with ``:caption: path`` is a file; `` ```console`` holds
commands (``$ …``, and ``> …`` where one goes on) with the output they must print, where ``...`` stands for anything; `` ```python`` is run as a script.
Everything else (plain text, ``text``, directives) is prose. All commands of a page run in one shell, as a reader's do:
variables and background jobs last.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from uuid import uuid4

_FENCE = re.compile(r"^(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL)
_CAPTION = re.compile(r"\A(?::\w[\w-]*:.*\n)*?:caption: (?P<path>.+)\n(?::\w[\w-]*:.*\n)*\n?")
#: Generous: the machine of a test run is busy.
_TIMEOUT_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    #: Line of the page it starts on.
    line: int
    #: ``file``, ``console``, ``python`` or ``prose``.
    kind: str
    body: str
    #: Where a file goes, relative to the folder the page is worked through in.
    path: str = ""


def blocks_of(text: str) -> Iterator[Block]:
    """Yield the blocks of a page in order."""
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        info, body = found["info"].strip(), found["body"]
        caption = _CAPTION.match(body)
        if info.startswith("{code-block}") and caption is not None:
            yield Block(line, "file", body[caption.end() :], caption["path"])
        elif info in ("console", "python"):
            yield Block(line, info, body)
        else:
            yield Block(line, "prose", body)


def work_through(page: Path, folder: Path, *, environment: Mapping[str, str]) -> int:
    """Do what a page says, in an empty folder, and return how many blocks were done.

    Raises:
        AssertionError: a command failed or printed something else; the text names page, line, command and output.
    """
    done = 0
    with Shell.opened(folder, environment) as shell:
        for block in blocks_of(page.read_text(encoding="utf-8")):
            done += block.kind != "prose"
            place = f"{page.name}:{block.line}"
            if block.kind == "file":
                _write(folder / block.path, block.body)
            elif block.kind == "console":
                for command, expected in commands_of(block.body):
                    _compare(place, command, expected, *shell.run(command))
            elif block.kind == "python":
                _compare(place, block.body, "...", *shell.run(f"python -c {shlex.quote(block.body)}"))
    return done


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell that goes on living between commands."""

    process: subprocess.Popen[str]

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, environment: Mapping[str, str]) -> Iterator[Shell]:
        """Open a shell in a folder; at the end it and everything it started are ended."""
        process = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield cls(process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def run(self, command: str) -> tuple[str, int]:
        """Run one command and return what it printed and its exit code."""
        mark = f"done-{uuid4().hex}"
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        watchdog = threading.Timer(_TIMEOUT_SECONDS, self.process.kill)
        watchdog.start()
        # Its stdin is not ours: a command that reads would swallow the next one.
        self.process.stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n{mark} %s\\n' $?\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line.startswith(mark):
                watchdog.cancel()
                return "".join(lines), int(line.split()[1])
            lines.append(line)
        raise AssertionError(f"{command}\n{''.join(lines)}\nended the shell, or took over {_TIMEOUT_SECONDS} s")


def commands_of(body: str) -> Iterator[tuple[str, str]]:
    """Yield (command, expected output) of a console block; a command goes on in the lines that start with ``> ``."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        first, *lines = part.splitlines()
        more = [line.removeprefix("> ") for line in takewhile(lambda line: line.startswith("> "), lines)]
        yield "\n".join([first, *more]), "\n".join(lines[len(more) :]).strip()


def matches(expected: str, found: str) -> bool:
    """Say whether an output is the expected one; spaces at the ends of lines do not count."""
    pattern = re.escape(_trimmed(expected)).replace(re.escape("..."), ".*")
    return re.fullmatch(pattern, _trimmed(found), re.DOTALL) is not None


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def _compare(place: str, command: str, expected: str, found: str, code: int) -> None:
    said = f"{place}\n$ {command}\n{found}"
    # "(exit code 4)" after the output is how a page says that a command is refused.
    wanted = re.search(r"\(exit code (\d+)\)\Z", expected)
    expected = expected[: wanted.start()].strip() if wanted else expected
    assert code == (int(wanted[1]) if wanted else 0), f"{said}\nexit code {code}"
    assert matches(expected, found), f"{said}\nexpected:\n{expected}"
