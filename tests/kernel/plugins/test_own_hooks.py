"""A module asks others by hooks of its own: declared before anybody's are looked at, asked in load order."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from crm_kernel import Conflict, PluginError, hookspec
from crm_kernel._internal.discovery import installed_plugins
from crm_kernel._internal.loading import load_plugins
from crm_kernel.hooks import ask
from crm_kernel.testing.sites import write_distribution

ASKS = """
from crm_kernel import Plugin, hookspec

@hookspec
def asks_color(thing): ...

class AsksPlugin(Plugin):
    name = "asks"
    hookspecs = (asks_color,)
"""
ANSWERS = """
from crm_kernel import Plugin, hookimpl

class {class_name}(Plugin):
    name = "{name}"

    @hookimpl{options}
    def {hook}(self{arguments}):
        return {answer}
"""
OPTIONAL = "(optionalhook=True)"


@hookspec
def shop_color(thing: str, size: int = 1) -> str:  # type: ignore[empty-body]
    """Return the color of a thing."""


def answering(name: str, hook: str = "asks_color", options: str = "", arguments: str = ", thing", **more: str) -> str:
    """Return the source of a plugin that implements a hook."""
    answer = more.get("answer", "'red'")
    class_name = f"{name.capitalize()}Plugin"
    return ANSWERS.format(
        name=name, class_name=class_name, hook=hook, options=options, arguments=arguments, answer=answer
    )


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Install plugins (name → source of ``plugin.py``) and load those that are asked for, all of them by default."""

    def load(*enabled: str, **sources: str) -> Any:
        site = tmp_path / f"site{len(list(tmp_path.iterdir()))}"
        for name, source in sources.items():
            write_distribution(site, name, files={"plugin.py": source})
        monkeypatch.syspath_prepend(str(site))
        for name in sources:
            for module in (f"crm_{name}", f"crm_{name}.plugin"):
                monkeypatch.delitem(__import__("sys").modules, module, raising=False)
        return load_plugins(enabled or tuple(sources), installed=installed_plugins()).manager

    return load


@pytest.mark.parametrize("name", ["before", "zafter"])
def test_a_hook_is_known_to_neighbours_that_load_before_and_after_its_module(loaded: Any, name: str) -> None:
    manager = loaded(asks=ASKS, **{name: answering(name, answer="thing * 2")})

    assert manager.failed == {}
    assert manager.call("asks_color", thing=4) == [(name, 8)]


def test_an_argument_of_a_hook_may_have_any_name(loaded: Any) -> None:
    asks = ASKS.replace("(thing)", "(hook)")
    manager = loaded(asks=asks, here=answering("here", arguments=", hook", answer="hook * 2"))

    assert manager.call("asks_color", hook=4) == [("here", 8)]
    assert inspect.signature(ask).parameters["hook"].kind is inspect.Parameter.POSITIONAL_ONLY


def test_disabled_modules_are_not_asked(loaded: Any) -> None:
    manager = loaded("asks", "here", asks=ASKS, here=answering("here"), gone=answering("gone"))

    assert manager.call("asks_color", thing=4) == [("here", "red")]


def test_a_hook_of_an_absent_module_is_refused_unless_it_is_optional(loaded: Any) -> None:
    manager = loaded(strict=answering("strict"), friendly=answering("friendly", options=OPTIONAL))

    assert manager.names == {"kernel", "friendly"}
    assert re.search(
        r"unknown hook 'asks_color' in plugin .*\(in crm_strict\.plugin\)\. Hooks of the kernel and the enabled modules: "
        r"crm_authorize, .*For a hook of a module that may be absent: @hookimpl\(optionalhook=True\)",
        manager.failed["strict"],
    )


@pytest.mark.parametrize("options", ["", OPTIONAL])
def test_an_argument_that_the_hook_does_not_have_fails_who_asks_for_it(loaded: Any, options: str) -> None:
    manager = loaded(asks=ASKS, early=answering("early", arguments=", size", options=options))

    assert manager.names == {"kernel", "asks"}
    assert "size" in manager.failed["early"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (ASKS.replace("asks_color", "bank_color"), "hook: found 'bank_color', expected a name starting 'asks_'"),
        (ASKS.replace("asks_color", "crm_color"), "hook: found 'crm_color', expected a name starting 'asks_'"),
        (ASKS.replace("@hookspec", ""), "expected functions marked with @hookspec"),
        (ASKS.replace("(asks_color,)", "(asks_color, asks_color)"), "hook: found 'asks_color', expected a name not de"),
    ],
)
def test_a_wrong_declaration_fails_its_module_and_leaves_no_hook_behind(loaded: Any, source: str, said: str) -> None:
    manager = loaded(asks=source)

    assert said in manager.failed["asks"]
    assert [hook for hook in manager.hooks if not hook.startswith("crm_")] == []


def test_who_needs_a_module_whose_hooks_are_wrong_fails_through_it(tmp_path: Path, monkeypatch: Any) -> None:
    write_distribution(tmp_path, "asks", files={"plugin.py": ASKS.replace("asks_color", "crm_color")})
    write_distribution(tmp_path, "needs", files={"plugin.py": answering("needs")}, requires=["crm-asks"])
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("crm_asks", "crm_asks.plugin"):
        monkeypatch.delitem(__import__("sys").modules, module, raising=False)

    failed = load_plugins(["asks", "needs"], installed=installed_plugins()).manager.failed

    assert failed["needs"] == "needs the module asks, which cannot be loaded"


class TestAsking:
    """``ask`` beside two modules: the toy bank asks, the toy shop answers where it is enabled."""

    @pytest.fixture
    def crm_plugins(self, toybank: str, toyshop: str) -> tuple[str, ...]:
        return (toybank, toyshop)

    def test_the_answer_of_a_neighbour_decides(self, uow: Any, factories: Any, customer_factory: Any) -> None:
        from crm_toybank.services import close_account
        from crm_toyshop.models import LoyaltyCard

        account = factories.record("toybank.account", customer=customer_factory(), name="Savings")
        card = LoyaltyCard(customer_id=account.customer_id, points=7)
        uow.session.add(card)

        with pytest.raises(Conflict, match=r"7 points will be paid into it\."):
            close_account(uow, account)
        card.points = 0
        close_account(uow, account)

        assert account.open is False

    def test_a_hook_that_no_module_declares_is_not_asked(self, crm_app: Any) -> None:
        with crm_app.app_context(), pytest.raises(PluginError) as refusal:
            ask(shop_color, "x")

        assert str(refusal.value) == (
            "shop: hook shop_color: found no declaration, expected it in hookspecs of the Plugin class"
        )

    def test_an_argument_that_is_missing_is_an_error_and_not_a_default(self, crm_app: Any, toybank: str) -> None:
        from crm_toybank.contract import toybank_reasons_to_keep

        with crm_app.app_context(), pytest.raises(TypeError, match="customer_id"):
            ask(toybank_reasons_to_keep, None)  # type: ignore[call-arg]

    def test_who_has_nothing_to_say_is_left_out(self, crm_app: Any, monkeypatch: Any) -> None:
        from crm_toybank.contract import toybank_reasons_to_keep
        from crm_toyshop import panels

        monkeypatch.setattr(panels, "points_paid_into", lambda _uow, _customer_id: None)

        with crm_app.app_context():
            assert ask(toybank_reasons_to_keep, None, 1) == []  # type: ignore[arg-type]
