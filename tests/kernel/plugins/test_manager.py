"""The plugin manager: one call per plugin, in load order, with the failing plugin named."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from crm_kernel._internal.discovery import InstalledPlugin
from crm_kernel._internal.manager import PluginManager, import_plugin
from crm_kernel.errors import PluginError
from crm_kernel.plugin import Plugin, hookimpl
from crm_kernel.testing.sites import write_distribution


class Answering(Plugin):
    """Answers crm_authorize with what it was made with."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    @hookimpl
    def crm_authorize(self, actor: Any, permission: str) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def manager_of(**answers: Any) -> PluginManager:
    """Return a manager with one answering plugin per keyword, registered in that order."""
    manager = PluginManager()
    for name, answer in answers.items():
        manager.register(name, Answering(answer))
    return manager


def ask(manager: PluginManager) -> list[tuple[str, Any]]:
    """Call the hook the way the policy does."""
    return manager.call("crm_authorize", actor=None, permission="x", subject=None)


def test_answers_come_in_load_order_with_the_plugins_name() -> None:
    assert ask(manager_of(zebra=1, ant=2, moth=3)) == [("zebra", 1), ("ant", 2), ("moth", 3)]


def test_an_answer_of_none_is_kept() -> None:
    assert ask(manager_of(a=None, b=False)) == [("a", None), ("b", False)]


def test_an_implementation_gets_only_the_arguments_it_asks_for() -> None:
    assert ask(manager_of(a=True)) == [("a", True)]


def test_a_plugin_without_the_hook_is_not_asked() -> None:
    manager = manager_of(a=True)
    manager.register("silent", Plugin())

    assert ask(manager) == [("a", True)]


def test_an_exception_passes_through_a_call_that_must_not_be_skipped() -> None:
    with pytest.raises(ZeroDivisionError):
        ask(manager_of(a=True, b=ZeroDivisionError(), c=True))


def test_an_isolated_call_logs_the_plugin_and_asks_the_others(caplog: pytest.LogCaptureFixture) -> None:
    manager = manager_of(a=1, bad=ZeroDivisionError("broken"), c=3)

    with caplog.at_level(logging.ERROR, "crm.plugins"):
        answers = manager.call_isolated("crm_authorize", actor=None, permission="x", subject=None)

    assert answers == [("a", 1), ("c", 3)]
    assert "plugin bad failed in hook crm_authorize" in caplog.text


def test_an_unknown_hook_name_is_refused_with_the_known_ones() -> None:
    class Misspelt(Plugin):
        @hookimpl
        def crm_register_navigation(self) -> list[Any]:
            return []

    with pytest.raises(PluginError) as refusal:
        PluginManager().register("misspelt", Misspelt())

    assert "crm_register_navigation" in str(refusal.value)
    assert "crm_register_nav," in str(refusal.value)


def test_a_refused_plugin_leaves_nothing_behind_and_may_be_registered_again() -> None:
    class Misspelt(Plugin):
        @hookimpl
        def crm_registr(self) -> None:
            return None

    manager = manager_of(a=1)
    with pytest.raises(PluginError):
        manager.register("late", Misspelt())
    manager.register("late", Answering(2))

    assert ask(manager) == [("a", 1), ("late", 2)]


def test_an_optional_hook_of_an_absent_neighbour_is_accepted() -> None:
    class Friendly(Plugin):
        @hookimpl(optionalhook=True)
        def sfa_stage_colors(self) -> None:
            return None

    manager = PluginManager()
    manager.register("friendly", Friendly())

    assert manager.names == {"friendly"}


def test_a_failed_plugin_is_taken_out_with_its_reason() -> None:
    manager = manager_of(a=1, b=2)

    manager.unregister("a", "its panel is too small")

    assert manager.failed == {"a": "its panel is too small"}
    assert ask(manager) == [("b", 2)]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import a_library_that_nobody_has", "ModuleNotFoundError: No module named 'a_library_that_nobody_has'"),
        ("raise SystemExit('no')",           "SystemExit: no"),
        ("def broken(:",                     "SyntaxError"),
        ("",                                 "AttributeError"),
        ("OddonePlugin = 3",                 "is 3, expected a Plugin subclass"),
        ("from crm_kernel.plugin import Plugin\nclass OddonePlugin(Plugin): name = 'even'", "expected 'oddone'"),
        ("from crm_kernel.plugin import Plugin\nclass OddonePlugin(Plugin): pass",          "expected 'oddone'"),
        ("from crm_kernel.plugin import Plugin\nclass OddonePlugin(Plugin):\n name = 'oddone'\n model_modules = ('.nomodels',)",
         "No module named 'crm_oddone.nomodels'"),
    ],
)  # fmt: skip
def test_whatever_goes_wrong_at_import_is_one_error_with_the_plugins_name(
    source: str, said: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(write_distribution(tmp_path, "oddone", files={"plugin.py": source})))
    for module in ("crm_oddone", "crm_oddone.plugin"):
        monkeypatch.delitem(__import__("sys").modules, module, raising=False)
    plugin = InstalledPlugin("oddone", "crm-oddone", "1", "", "crm_oddone.plugin:OddonePlugin", ())

    with pytest.raises(PluginError) as failure:
        import_plugin(plugin)

    assert failure.value.plugin == "oddone"
    assert said in failure.value.reason


def test_an_interrupt_while_importing_is_not_swallowed(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source = {"plugin.py": "raise KeyboardInterrupt"}
    monkeypatch.syspath_prepend(str(write_distribution(tmp_path, "interrupted", files=source)))

    with pytest.raises(KeyboardInterrupt):
        import_plugin(InstalledPlugin("interrupted", "crm-interrupted", "1", "", "crm_interrupted.plugin:X", ()))
