"""The French catalogues of the kernel and of every plugin in the workspace are complete, current and well-formed."""

from __future__ import annotations

import gettext
import re

import pytest

from .catalogues import (
    PACKAGES,
    PLUGINS,
    french,
    french_file,
    messages,
    name_of,
    sources,
    texts,
)

each_package = pytest.mark.parametrize("package", PACKAGES, ids=name_of)
each_plugin = pytest.mark.parametrize("package", PLUGINS, ids=name_of)
_PLACEHOLDER = re.compile(r"%%|%\(\w+\)[a-z]|%[a-z]|\{\w*(?:![rs])?\}")


@each_package
def test_every_text_of_code_and_templates_is_said_in_french(package):
    catalogue = french(package)
    missing = []
    for (context, text), where in sources(package).items():
        entry = catalogue.get(text, context)
        if entry is None or entry.fuzzy or not all(texts(entry)):
            missing.append(f"{where}: {text!r}{f' (context {context})' if context else ''}")

    assert not missing, "run `make translations`, then fill in:\n" + "\n".join(missing)


@each_package
def test_no_catalogue_keeps_what_the_code_no_longer_says(package):
    known = sources(package)
    dead = [m.id for m in messages(package) if (m.context, m.id if isinstance(m.id, str) else m.id[0]) not in known]

    assert not dead, f"run `make translations`: {dead}"


@each_package
def test_a_translation_has_the_placeholders_of_its_text(package):
    wrong = []
    for message in messages(package):
        forms = [message.id] if isinstance(message.id, str) else message.id
        allowed = [sorted(_PLACEHOLDER.findall(form)) for form in forms]
        wrong += [(message.id, text) for text in texts(message) if sorted(_PLACEHOLDER.findall(text)) not in allowed]

    assert not wrong


@each_package
def test_plural_texts_have_both_french_forms(package):
    assert french(package).plural_expr == "(n > 1)"
    assert all(len(texts(m)) == 2 for m in messages(package) if not isinstance(m.id, str))


@each_package
def test_french_is_set_as_french_is(package):
    """A curved apostrophe; a space that does not break before ; : ? ! and inside guillemets, which are no English ones.

    It is U+00A0 everywhere: with the narrow one in some places, half of the colons stand closer than the others.
    """
    wrong = [
        text
        for message in messages(package)
        for text in texts(message)
        if re.search(
            r"\u202f|\w'\w| [;:?!»]|« |[^\s\u00a0(][?!;»](?!\S)|“|”|\.\.\.", re.sub(r"\{\w*![rs]\}", "x", text)
        )
    ]

    assert not wrong


@each_package
def test_one_thing_has_one_french_name(package):
    said = " ".join(text for message in messages(package) for text in texts(message)).lower()

    # Words that catalogues had beside the one that is used: e-mail, fiche, type de fiche.
    assert [word for word in ("courriel", "enregistrements ", "genre de fiche") if word in said] == []


@each_plugin
def test_a_plugin_does_not_change_what_a_text_of_the_kernel_is_called(package):
    """The catalogues are merged and the last one wins: a word with another sense needs a context (pgettext)."""
    kernel = french(PACKAGES[0])
    differing = {
        message.id: (texts(entry), texts(message))
        for message in messages(package)
        if message.context is None and (entry := kernel.get(message.id)) and texts(entry) != texts(message)
    }

    assert not differing


@each_package
def test_the_compiled_catalogue_is_that_of_the_sources(package):
    file = french_file(package)
    compiled = file.with_suffix(".mo")
    assert compiled.exists(), "run: make install"

    with compiled.open("rb") as opened:
        translations = gettext.GNUTranslations(opened)

    said = {m.id: (translations.pgettext(m.context, m.id) if m.context else translations.gettext(m.id), m.string)
            for m in messages(package) if isinstance(m.id, str)}  # fmt: skip
    stale = {text: found for text, (found, expected) in said.items() if found != expected}
    assert not stale, "run: make install"
