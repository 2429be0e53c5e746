"""The tutorial is worked through as a reader would: every file written, every command run, every output compared."""

from __future__ import annotations

from pathlib import Path

import pytest
from blocks import work_through
from reader import environment_in

TUTORIAL = Path(__file__).parent.parent.parent / "docs" / "tutorial" / "first-plugin.md"


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    folder = tmp_path / "crm-gym"
    folder.mkdir()

    done = work_through(TUTORIAL, folder, environment=environment_in(tmp_path / "environment"))

    assert done > 30
