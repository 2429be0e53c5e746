"""``crm doctor``: named checks of the instance, each with what to do; starts while everything else is broken."""

from __future__ import annotations

from dataclasses import asdict

import click

from crm_cli.common import ExitCode, Instance, echo_json, echo_table, instance_options, json_option, message


@click.command("doctor")
@click.option("--strict", is_flag=True, help="Warnings count as findings, too.")
@json_option
@instance_options
def doctor(instance: Instance, strict: bool, as_json: bool) -> None:
    """Check the instance and say what to mend; exit 6 when something is wrong."""
    from crm_kernel._internal.checkup import findings

    found = findings(instance.config)
    if as_json:
        echo_json([asdict(finding) for finding in found])
    else:
        echo_table(("check", "health", "message", "fix"), [(f.name, f.health, f.message, f.fix) for f in found])
    bad = [f for f in found if f.health == "error" or (strict and f.health == "warning")]
    if bad:
        message(f"{len(bad)} of {len(found)} checks found something to mend.")
        raise click.exceptions.Exit(ExitCode.FINDINGS)
    warnings = sum(finding.health == "warning" for finding in found)
    message(f"{len(found)} checks, " + (f"{warnings} warnings, no error." if warnings else "nothing to mend."))
