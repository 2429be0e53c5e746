"""Writing revisions from models and finding drift: what belongs to a branch, how its types are written."""

from __future__ import annotations

import contextlib
import json

import pytest

from crm_kernel._internal import migrations
from crm_kernel.testing.databases import NoPostgreSQL
from crm_kernel.testing.sites import write_distribution

MODELS = """
import datetime as dt
import uuid
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.database import RecordMixin
from crm_kernel.plugin import plugin_base

Base = plugin_base("drift")


class Thing(RecordMixin, Base):
    __tablename__ = "drift_thing"

    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(sa.String(80))
    price: Mapped[Decimal | None]
    facts: Mapped[dict[str, str]] = mapped_column(sa.JSON)
    done: Mapped[bool] = mapped_column(default=False, server_default=sa.false())

    __table_args__ = (sa.Index("ix_drift_thing_lower", sa.text("lower(name)")),)
"""
PLUGIN = """
from crm_kernel.plugin import Plugin


class DriftPlugin(Plugin):
    name = "drift"
    model_modules = (".models",)
"""
#: Writes a revision, upgrades, and reports its text and the drift before and after one more column.
SCRIPT = """
import datetime as dt, json, sys
import sqlalchemy as sa
from crm_kernel._internal import migrations
from crm_kernel.config import Config
from crm_kernel.errors import Conflict

config, *others = [Config(database_url=url, source="the test") for url in sys.argv[1:]]
now = dt.datetime(2027, 1, 15, 10, 30, tzinfo=dt.UTC)
path = migrations.revision("drift", "Add things", now=now)
migrations.upgrade(config, ["drift"])
try:
    again = str(migrations.revision("drift", "Nothing", now=now))
except Conflict as error:
    again = str(error)
clean = migrations.check(config, "drift")
for other in others:
    migrations.upgrade(other, ["drift"])
    clean += migrations.check(other, "drift") + migrations.check(other, "kernel")
from crm_drift.models import Thing
Thing.__table__.append_column(sa.Column("colour", sa.String(20)))
changed = migrations.check(config, "drift")
second = migrations.revision("drift", "Add the colour", now=now)
report = {"name": path.name, "text": path.read_text(), "clean": clean, "again": again, "changed": changed,
          "second": second.name, "second_text": second.read_text(), "kernel": migrations.check(config, "kernel")}
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory, run_python, crm_test_databases):
    """What the script tells of both databases, in a process of its own: models live as long as that."""
    site = tmp_path_factory.mktemp("drift")
    write_distribution(site, "drift", files={"models.py": MODELS, "plugin.py": PLUGIN})
    urls = [crm_test_databases.empty("sqlite")]
    with contextlib.suppress(NoPostgreSQL):
        urls.append(crm_test_databases.empty("postgresql"))
    return json.loads(run_python(["-c", SCRIPT, *urls], sites=[site]).stdout)


def test_a_first_revision_starts_a_branch_named_like_the_module(report):
    assert report["name"] == "20270115_1030_add_things.py"
    assert 'revision = "20270115_1030"' in report["text"]
    assert 'branch_labels = ("drift",)' in report["text"]


def test_a_revision_names_the_kernels_revision_it_was_written_on(report):
    assert 'needs_kernel = "2026' in report["text"]


def test_the_projects_types_are_written_by_their_own_names(report):
    for name in ("database.Key", "database.Uid()", "database.UTCDateTime()", "database.Amount()"):
        assert name in report["text"], name
    assert "server_default=sa.false()" in report["text"]


def test_tables_of_others_are_left_out(report):
    assert 'create_table("customer"' not in report["text"].replace("'", '"')


def test_an_upgraded_database_has_no_drift(report):
    assert report["clean"] == []
    assert report["again"].startswith("drift: its models and its revisions agree")


def test_a_changed_model_is_drift_and_the_next_revision_holds_only_that(report):
    assert report["changed"] == ["add column: drift_thing.colour"]
    assert report["second"] == "20270115_1031_add_the_colour.py"
    assert "create_table" not in report["second_text"]
    assert "colour" in report["second_text"]


def test_the_kernels_revisions_give_what_its_models_say(report):
    assert report["kernel"] == []


def test_the_kernels_tables_can_be_undone_and_made_again(database_url):
    from crm_kernel.config import Config

    config = Config(database_url=database_url, source="the test")
    migrations.upgrade(config, [])
    migrations.downgrade(config, "kernel")

    steps = migrations.upgrade(config, [])

    assert {step.branch for step in steps} == {"kernel"}
    assert migrations.status(config)[0].state == "current"
