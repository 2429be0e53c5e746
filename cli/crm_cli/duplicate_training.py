"""``crm customers duplicates train``: the matcher's weights, learnt by Splink from the customers or from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crm_cli.common import Instance, dry_run_option, echo_done, instance_options, json_option

if TYPE_CHECKING:
    from crm_kernel.customers.duplicates.profiles import Profile
    from crm_kernel.unit_of_work import UnitOfWork


@click.command("train")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[FILE]", required=False)
@click.option(
    "--map",
    "columns",
    multiple=True,
    metavar="COLUMN=FIELD",
    help="What a column of FILE holds, as for match. Repeat it.",
)
@click.option("--most", type=click.IntRange(100), default=200_000, show_default=True, help="Customers at most.")
@click.option("--forget", is_flag=True, help="Forget what was trained: the nightly scan learns by itself again.")
@dry_run_option
@json_option
@instance_options
def train(
    instance: Instance,
    file: Path | None,
    columns: tuple[str, ...],
    most: int,
    forget: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Let Splink learn what agreement is worth, from the customers that the scan has seen or from the rows of FILE.

    Needs the extra: pip install 'crm-kernel[splink]'. Forms, imports and scans use the weights from then on, and the nightly scan
    no longer learns by itself. Nothing personal is kept of FILE.
    """
    if forget:
        _forget(instance, dry_run=dry_run, as_json=as_json)
        return
    from crm_kernel.customers.duplicates.loading import sample_profiles, teach
    from crm_kernel.customers.duplicates.splink_training import train as train_now
    from crm_kernel.customers.duplicates.weights import default_weights

    with instance.reading() as uow:
        profiles = sample_profiles(uow, most) if file is None else _of_file(file, columns)[:most]
    weights = train_now(profiles)  # minutes, so in no transaction
    with instance.writing(dry_run=dry_run) as uow:
        if file is not None:  # how many of its rows are one says nothing of how many customers are
            weights = weights.with_prior(default_weights(_number(uow)).prior)
        teach(uow, weights, by="splink")
    shown: dict[str, Any] = {"customers": len(profiles), "prior": weights.prior, "m": weights.m, "u": weights.u}
    text = f"Learnt from {len(profiles)} customers. Score the open pairs anew: crm customers duplicates scan"
    echo_done(shown, text, as_json=as_json, dry_run=dry_run)


def _forget(instance: Instance, *, dry_run: bool, as_json: bool) -> None:
    from crm_kernel.customers.duplicates.loading import forget_teaching

    with instance.writing(dry_run=dry_run) as uow:
        found = forget_teaching(uow)
    text = "Forgotten: the next scan learns by itself." if found else "Nothing was trained."
    echo_done({"forgotten": found}, text, as_json=as_json, dry_run=dry_run)


def _of_file(file: Path, columns: tuple[str, ...]) -> list[Profile]:
    from crm_cli.customers import pair_of
    from crm_kernel.customers.duplicates.files import profiles_in

    return profiles_in(file, columns=dict(pair_of(text) for text in columns))


def _number(uow: UnitOfWork) -> int:
    import sqlalchemy as sa

    from crm_kernel.customers.models import Customer

    return uow.session.scalar(sa.select(sa.func.count()).select_from(Customer)) or 0
