"""Rules of loading: alone, in company, without touching anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from crm_kernel.testing.conformance.rule import Subject, rule


@rule("loads-alone", "A module that needs another one declares it in its wheel; otherwise the kernel is enough.")
def loads_alone(subject: Subject) -> Iterator[str]:
    """Yield why the plugin cannot be loaded with the kernel and its declared dependencies only."""
    from crm_kernel._internal.loading import load_plugins

    yield from load_plugins(subject.modules).manager.failed.values()


@rule("loads-beside-others", "Customers combine modules nobody has combined before.")
def loads_beside_others(subject: Subject) -> Iterator[str]:
    """Yield what fails only when everything that is installed is loaded together with the plugin."""
    from crm_kernel._internal.discovery import installed_plugins
    from crm_kernel._internal.loading import load_plugins
    from crm_kernel._internal.resolution import dependants_of

    everything = set(installed_plugins())
    without = everything - {subject.plugin, *dependants_of(subject.plugin, everything, installed_plugins())}
    known = load_plugins(without).manager.failed
    for name, reason in load_plugins(everything).manager.failed.items():
        if name not in known:
            yield f"{name}: {reason}"


@rule("states-kernel-range", "Without a range the module is loaded by kernels it was never tried with.")
def states_kernel_range(subject: Subject) -> Iterator[str]:
    """Yield what the wheel's requirement on the kernel lacks."""
    requirement = subject.installed.kernel_requirement()
    operators = {part.operator for part in requirement.specifier} if requirement else set()
    if not operators & {">=", "~=", "=="}:
        yield f"{subject.installed.distribution} states no least version of crm-kernel: add crm-kernel>=… to its dependencies"
    if not operators & {"<", "<=", "~=", "=="}:
        yield f"{subject.installed.distribution} states no version of crm-kernel it ends at: add crm-kernel<…"


@rule("hooks-known", "A misspelt hook is never called, and nobody notices.")
def hooks_known(subject: Subject) -> Iterator[str]:
    """Yield implementations of hooks that no loaded module declares; ``optionalhook`` is for absent neighbours."""
    from crm_kernel._internal.discovery import installed_plugins
    from crm_kernel._internal.loading import load_plugins

    plugin: Any = subject.runtime.manager.loaded[subject.plugin]
    known = load_plugins(set(installed_plugins())).manager.hooks
    for name in dir(type(plugin)):
        marks, owner = getattr(getattr(type(plugin), name), "crm_impl", None), name.partition("_")[0]
        if marks and name not in known and (not marks.get("optionalhook") or owner in installed_plugins()):
            yield f"{name}: no such hook"
        if (name.startswith("crm_") or name in known) and not marks:
            yield f"{name}: lacks @hookimpl, so it is never called"


@rule("hooks-said", "Who implements a module's hook reads its docstring: what is asked, when, and what an answer does.")
def hooks_said(subject: Subject) -> Iterator[str]:
    """Yield hooks that the plugin asks others without saying what they are."""
    for hook in type(subject.runtime.manager.loaded[subject.plugin]).hookspecs:
        if not (hook.__doc__ or "").strip():
            yield f"{hook.__name__}: no docstring"


@rule("starts-silently", "A query while the application is built breaks forked workers and starts without a database.")
def starts_silently(subject: Subject) -> Iterator[str]:
    """Yield the statements that building the application sends."""
    # The kernel itself reads settings and log-in providers, on connections that it closes before any worker forks.
    own = Counter(_sent_by_building(subject.url, ()))
    yield from (Counter(_sent_by_building(subject.url, subject.modules)) - own).elements()


def _sent_by_building(url: str, modules: tuple[str, ...]) -> list[str]:
    from crm_kernel.testing.apps import build, let_go

    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(" ".join(statement.split()))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        let_go(build(url, modules))
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    return seen
