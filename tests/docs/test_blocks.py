"""The tool that works through the manual's pages sees what is wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from blocks import blocks_of, commands_of, matches, work_through

PAGE = """\
# A page

```{code-block} python
:caption: toy/hello.py

print("hello")
```

```console
$ python3 toy/hello.py
hello
$ echo one \\
>     two
one ...
$ export LATER=two
$ (echo $LATER; exit 4)
two
(exit code 4)
```

```text
not run
```
"""


def test_a_page_is_cut_into_files_commands_and_prose() -> None:
    found = [(block.kind, block.path, block.line) for block in blocks_of(PAGE)]

    assert found == [("file", "toy/hello.py", 3), ("console", "", 9), ("prose", "", 21)]


def test_commands_carry_the_output_that_follows_them() -> None:
    assert list(commands_of("$ a\n1\n2\n$ b 'x\n> y'\n")) == [("a", "1\n2"), ("b 'x\ny'", "")]


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ("a...c", "abc", True),
        ("a\n...\nd", "a\nb\nc\nd\n", True),
        ("a", "ab", False),
        ("", "x", False),
        ("a (1)", "a (1)", True),
    ],
)
def test_dots_stand_for_anything_and_nothing_else_does(expected: str, found: str, same: bool) -> None:
    assert matches(expected, found) is same


def test_a_page_is_worked_through(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")

    assert work_through(page, tmp_path, environment=os.environ) == 2
    assert (tmp_path / "toy" / "hello.py").read_text(encoding="utf-8") == 'print("hello")\n'


@pytest.mark.parametrize(("command", "said"), [("$ echo 1\n2", "expected:\n2"), ("$ false", "exit code 1")])
def test_a_page_that_lies_is_named_with_its_line(tmp_path: Path, command: str, said: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```console\n{command}\n```\n", encoding="utf-8")

    with pytest.raises(AssertionError, match=r"page.md:1") as refused:
        work_through(page, tmp_path, environment=os.environ)
    assert said in str(refused.value)
