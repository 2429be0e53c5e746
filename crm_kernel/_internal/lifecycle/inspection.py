"""Loads a set of modules in a process of its own and reports what came of it.

A plugin that exits, crashes or hangs the interpreter then costs a child process, not the command that asks about it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from crm_kernel.config import Config
from crm_kernel.errors import ConfigError, CrmError

#: Seconds after which loading counts as hanging.
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Inspection:
    """What loading a set of modules gave."""

    #: In load order, without the kernel.
    loaded: tuple[str, ...] = ()
    #: Module → reason.
    failed: Mapping[str, str] = field(default_factory=dict)
    #: Module → kind (``record_types``, ``panels``, …) → names.
    contributions: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    #: Module → ``GET,POST /sfa/…``.
    routes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: Module → permissions, those of record types included.
    permissions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    #: Module (``kernel`` included) → rows of ``data_map``.
    data_map: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


def inspect_modules(
    config: Config, modules: Collection[str], *, patience_seconds: float = PATIENCE_SECONDS
) -> Inspection:
    """Build the application with these modules in a child process and return what loaded, what failed and why.

    Touches no database. When the child dies, each module is tried alone to find the one that kills it.

    Raises:
        ConfigError: the settings are wrong, whatever the modules.
        CrmError: the kernel alone cannot be built.
    """
    report = _report(config, modules, patience_seconds)
    if "died" not in report:
        return _inspection(report)
    killers = _killers(config, modules, patience_seconds) or dict.fromkeys(modules, str(report["died"]))
    survivors = set(modules) - killers.keys()
    rest = _inspection(_report(config, survivors, patience_seconds))
    return Inspection(**{**_fields(rest), "failed": {**rest.failed, **killers}})


def _killers(config: Config, modules: Collection[str], patience: float) -> dict[str, str]:
    reports = {name: _report(config, [name], patience) for name in sorted(modules)}
    return {name: str(report["died"]) for name, report in reports.items() if "died" in report}


def _report(config: Config, modules: Collection[str], patience: float) -> dict[str, Any]:
    order = {"config": asdict(config), "modules": sorted(modules), "path": sys.path}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        argv = [sys.executable, "-P", "-m", "crm_kernel._internal.lifecycle.child", str(answer)]
        # The child finds the kernel where this process did, whatever put it there.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        try:
            done = subprocess.run(
                argv, input=json.dumps(order), capture_output=True, text=True, timeout=patience, env=environment
            )
        except subprocess.TimeoutExpired:
            return {"died": f"loading it took longer than {patience:g} s"}
        if not answer.exists():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return {"died": f"loading it ended the process (exit code {done.returncode}): {last}"}
        return dict(json.loads(answer.read_text(encoding="utf-8")))


def _inspection(report: Mapping[str, Any]) -> Inspection:
    if "settings" in report:
        raise ConfigError(report["settings"])
    if "died" in report:
        raise CrmError(f"the application cannot be built even without modules: {report['died']}")
    return Inspection(**{**report, "loaded": tuple(report["loaded"])})


def _fields(inspection: Inspection) -> dict[str, Any]:
    return {name: getattr(inspection, name) for name in Inspection.__dataclass_fields__}
