"""Every icon that a template or a contribution names is in the sprite: a missing one is an empty space, not an error."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(
    r"""\bicon\('([a-z0-9-]+)'|empty_state\('([a-z0-9-]+)'|icon_name='([a-z0-9-]+)'|'icon':\s*'([a-z0-9-]+)'|\bicon="([a-z0-9-]+)\""""
)


def test_every_icon_that_is_named_is_in_the_sprite():
    lines = (ROOT / "crm_kernel/web/assets/icons.txt").read_text("utf-8").splitlines()
    listed = {line for line in lines if line and not line.startswith("#")}
    files = [*ROOT.glob("crm_kernel/**/*"), *ROOT.glob("plugins/*/crm_*/**/*")]

    named = {
        (name, path.relative_to(ROOT).as_posix())
        for path in files
        if path.suffix in (".html", ".py")
        for match in NAMED.finditer(path.read_text("utf-8"))
        for name in match.groups()
        if name
    }

    assert len(named) > 50
    assert sorted(found for found in named if found[0] not in listed) == []
