"""Every hook, permission, setting, event, command and public name stands in the reference and says what it is."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import click
import pytest

import crm_kernel
from crm_kernel.contributions import Setting
from crm_kernel.events import Event

ROOT = Path(__file__).parent.parent.parent
REFERENCE = ROOT / "docs" / "reference"


def sections(markdown: str) -> set[str]:
    """Return the titles of a page's sections."""
    return set(re.findall(r"^#{2,3} (.+)$", markdown, re.MULTILINE))


def test_every_hook_stands_in_the_reference_with_its_arguments(pages) -> None:
    page = pages.hooks_page()

    assert pages.hooks().keys() <= sections(page)
    assert "crm_authorize(actor: Actor, permission: str, subject: Any) -> bool | None" in page


def test_every_public_name_stands_in_the_reference(pages) -> None:
    described = [
        pages.names_page(),
        pages.records_page(),
        pages.fields_page(),
        pages.contributions_page(),
        pages.errors_page(),
    ]

    assert set(crm_kernel.__all__) <= set().union(*map(sections, described))


def test_every_event_stands_in_the_reference(contributed) -> None:
    assert {event.name for _owner, event in contributed.owned("events")} == sections(contributed.events_page())


def test_every_permission_stands_in_the_reference(contributed) -> None:
    types = [found for _owner, found in contributed.owned("record_types")]
    offered = {found.permission(verb) for found in types for verb in found.verbs}

    assert {name for name in offered if f"`{name}`" not in contributed.permissions_page()} == set()


def test_every_setting_stands_in_the_reference(contributed) -> None:
    page = contributed.settings_page()

    assert [name for name, *_rest in contributed.kernel_settings() if f"`{name}`" not in page] == []


def test_nothing_in_the_reference_is_without_words(pages) -> None:
    assert {what: found for what, items in pages.SILENT.items() if (found := items())} == {}


def test_every_generated_part_is_on_a_page(pages) -> None:
    placed = {
        name for page in REFERENCE.glob("*.md") for name in re.findall(r"generated: ([\w-]+)", page.read_text("utf-8"))
    }

    assert placed == pages.PAGES.keys()


def test_an_undocumented_hook_is_found(pages) -> None:
    from crm_kernel._internal.markers import hookspec

    module = type(re)("toy")

    @hookspec
    def crm_toy() -> None: ...

    module.crm_toy = crm_toy

    assert pages.hooks_without_words(module) == ["crm_toy"]


def test_an_undocumented_field_is_found(objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = "    name: str\n    #: Said.\n    loud: int\n    told: int\n    silent: int\n"
    source = f'import dataclasses\n\n\n@dataclasses.dataclass\nclass Toy:\n    """A toy, ``told`` here."""\n\n{fields}'
    (tmp_path / "toyfields.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    import toyfields

    assert objects.fields_without_words([toyfields.Toy]) == ["Toy.silent"]


def test_an_undocumented_event_is_found(contributed) -> None:
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Silent(Event):
        name: ClassVar[str] = "toy.happened"

    assert contributed.events_without_words([Silent]) == ["toy.happened"]


def test_an_undocumented_permission_is_found(contributed) -> None:
    assert contributed.permissions_without_words({"toy.a": "Open it", "toy.b": " ", "toy.c": "toy.c"}) == [
        "toy.b",
        "toy.c",
    ]


def test_an_undocumented_setting_is_found(contributed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toyconfig.py").write_text(
        "import dataclasses\n\n\n@dataclasses.dataclass\nclass Config:\n    #: Said.\n    loud: int = 1\n    silent: int = 2\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import toyconfig

    declared = [Setting(name="toy.rate", type=int, default=1, label="")]
    assert contributed.settings_without_words(toyconfig.Config, declared) == ["silent", "toy.rate"]


def test_an_undocumented_command_is_found(surface) -> None:
    @click.group()
    def toy() -> None:
        """Play."""

    toy.add_command(
        click.Command("silent", params=[click.Option(["--loud"]), click.Option(["--known"], help="Known.")])
    )

    assert surface.commands_without_words(toy) == ["toy silent", "toy silent --loud"]


def test_an_undocumented_macro_is_found(surface, tmp_path: Path) -> None:
    (tmp_path / "toy.html").write_text(
        "{#- known(a): said. -#}\n{% macro known(a) %}{% endmacro %}{% macro silent() %}{% endmacro %}"
    )

    assert surface.macros_without_words(tmp_path) == ["toy.html: silent"]


def test_the_public_names_are_imported_without_flask_and_sqlalchemy() -> None:
    code = (
        "import sys, crm_kernel\n"
        "assert not {'flask', 'sqlalchemy', 'marshmallow'} & set(sys.modules), sorted(sys.modules)\n"
        "assert len({getattr(crm_kernel, name) is not None for name in crm_kernel.__all__}) == 1\n"
        "assert set(crm_kernel.__all__) == set(crm_kernel._HOMES) <= set(dir(crm_kernel))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


#: What the sales module imports of the kernel beside its public names, and why that stays so.
NOT_PUBLIC = {
    "product": "multiplies an amount by a quantity: too plain a name for all modules",
    "database": "the module as a whole, for the name of the current time",
}


def imported_names(folder: Path) -> set[str]:
    """Return the names that the files of a folder import from the kernel, its tables' classes left out."""
    found = [node for file in folder.rglob("*.py") for node in ast.walk(ast.parse(file.read_text("utf-8")))]
    names = set()
    for node in found:
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "crm_kernel":
            names |= set() if node.module.endswith(".models") else {name.name for name in node.names}
    return names


def test_the_sales_module_builds_on_public_names_only() -> None:
    used = imported_names(ROOT / "plugins" / "sfa" / "crm_sfa")

    assert "RecordType" in used
    assert used - set(crm_kernel.__all__) - NOT_PUBLIC.keys() == set()


def test_a_name_that_is_not_public_is_refused_by_name() -> None:
    with pytest.raises(AttributeError, match="no public name 'nothing'"):
        crm_kernel.nothing  # noqa: B018


def test_a_docstring_becomes_markdown(reference_modules) -> None:
    from crm_reference.prose import markdown

    text = "Do it.\n\nExample::\n\n    do(it)\n\nArgs:\n    it: what to do,\n        and how.\n\nRaises:\n    Conflict: done."

    assert markdown(text) == (
        "Do it.\n\nExample:\n\n```python\ndo(it)\n```\n\n**Args**\n\n- `it`: what to do,\n    and how.\n\n**Raises**\n\n- `Conflict`: done."
    )
