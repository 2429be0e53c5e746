"""``--dry-run`` of every command that writes: nothing in the database and nothing in the folders is another after it.

The table below says how each writing command of ``crm`` is called on an instance that gives it something to do. Without
``--dry-run`` the same call does change something, so that none of them passes because it was refused or had no work.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import sys
import uuid
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from crm_kernel.testing.sites import write_distribution

EVENT = "01990000-0000-7000-8000-000000000001"
PAIR = "01990000-0000-7000-8000-000000000002"
SCHEDULE = "01990000-0000-7000-8000-00000000000a"
CUSTOMER = "01990000-0000-7000-8000-00000000000c"
OTHER = "01990000-0000-7000-8000-00000000000f"
MERGE_RUN = "01990000-0000-7000-8000-000000000010"
SUPPRESSION = "01990000-0000-7000-8000-00000000000d"
RESTING = "01990000-0000-7000-8000-00000000000b"
#: One that stands for what a module declares.
DECLARED = "01990000-0000-7000-8000-00000000004d"
BULK_RUN = "01990000-0000-7000-8000-00000000000e"
DONE_RUN = "01990000-0000-7000-8000-00000000000e"
STOPPED_RUN = "01990000-0000-7000-8000-00000000000f"
DRAFT_RUN = "01990000-0000-7000-8000-0000000000d0"
MAPPING = "01990000-0000-7000-8000-0000000000d1"
WEBHOOK = "01990000-0000-7000-8000-00000000000e"
SILENT = "01990000-0000-7000-8000-00000000000f"
READY_JOB = "01990000-0000-7000-8000-000000000c07"
DEAD_JOB = "01990000-0000-7000-8000-000000000c05"
RULE_ACTIONS = '[{"action": "kernel.add_note", "params": {"summary": "Hello"}}]'
#: Command → its arguments. Every command with ``--dry-run`` must be here.
CALLS = {
    "init": ["new", "--admin-email", "zoe@example.com"],
    "modules enable": ["beta"],
    "modules upgrade": ["delta"],
    "modules disable": ["alpha"],
    "modules uninstall": ["gamma"],
    "modules purge": ["gamma", "--export-to", "gamma-export"],
    "modules restore": ["alpha-export"],
    "db upgrade": [],
    "db reindex": [],
    "db revision": ["epsilon", "--message", "Add a thing"],
    "audit verify": [],
    "audit head": [],
    "users create": ["carl@example.com", "--role", "reader"],
    "users invite": ["dan@example.com", "--role", "reader"],
    "users deactivate": ["bob@example.com"],
    "users activate": ["ivy@example.com"],
    "users reset-password": ["bob@example.com"],
    "users reset-link": ["bob@example.com"],
    "users sign-out": ["bob@example.com"],
    "users reset-second-factor": ["bob@example.com"],
    "users token": ["bob@example.com", "--name", "script"],
    "users assign": ["bob@example.com", "manager"],
    "teams create": ["North"],
    "settings set": ["company_name", "Acme"],
    "settings reset": ["job_days"],
    "roles create": ["branch"],
    "roles grant": ["reader", "customer.update"],
    "roles revoke": ["reader", "*.read"],
    "identity-providers add": ["Staff", "https://login.example.com", "crm"],
    "identity-providers change": ["Known", "--disable"],
    "identity-providers secret": ["Known", "--value", "s3cret"],
    "roles fields restrict": ["reader", "customer", "notes", "hidden"],
    "roles fields free": ["manager", "customer", "notes"],
    "fields add": ["customer", "color", "--kind", "text"],
    "fields change": ["customer", "tier", "--listed"],
    "fields move": ["customer", "tier", "down"],
    "fields archive": ["customer", "tier"],
    "fields restore": ["customer", "old"],
    "fields remove": ["customer", "old", "--yes"],
    "import run": ["people.csv", "--record", "customer"],
    "import undo": [DONE_RUN],
    "import resume": [STOPPED_RUN],
    "import discard": [DRAFT_RUN],
    "import delete-mapping": [MAPPING],
    "customers duplicates scan": [],
    "customers duplicates train": ["--forget"],
    "customers duplicates dismiss": [PAIR],
    "customers duplicates merge": [PAIR, "--into", CUSTOMER],
    "customers merge": [CUSTOMER, OTHER],
    "customers unmerge": [MERGE_RUN],
    "consent record": [CUSTOMER, "--channel", "email", "--purpose", "marketing", "--status", "given"],
    "customers export-subject": [CUSTOMER, "--out", "subject.zip"],
    "customers erase": [CUSTOMER, "--yes"],
    "customers hold": [CUSTOMER, "--reason", "lawsuit"],
    "privacy retention run": ["idle", "--yes"],
    "secrets rotate": ["--yes"],
    "privacy reapply": ["erased.json", "--yes"],
    "consent ask": [CUSTOMER, "--purpose", "marketing", "--print-link"],
    "consent suppress": ["ada@crm.test"],
    "consent lift": [SUPPRESSION, "--note", "a mistake"],
    "events retry": ["--all"],
    "events discard": [EVENT],
    "events replay": [EVENT, "--subscriber", "alpha.greet"],
    "rules enable": ["Resting"],
    "rules disable": ["Running"],
    "webhooks add": ["https://example.com/hook", "--user", "ann@example.com"],
    "webhooks enable": [SILENT],
    "webhooks disable": [WEBHOOK],
    "webhooks test": [WEBHOOK],
    "webhooks secret": [WEBHOOK, "--replace"],
    "webhooks replay": [WEBHOOK, "--since", "2026-01-01"],
    "jobs retry": ["--all"],
    "jobs cancel": [READY_JOB],
    "jobs queue": ["mail", "--per-minute", "60"],
    "jobs run": ["kernel.housekeeping"],
    "jobs schedule add": ["kernel.housekeeping", "0 5 * * *"],
    "jobs schedule set": [SCHEDULE, "0 7 * * *"],
    "jobs schedule restore": [DECLARED],
    "jobs schedule pause": [SCHEDULE],
    "jobs schedule resume": [RESTING],
    "jobs schedule remove": [SCHEDULE],
    "records bulk": ["customer", "--all", "--set", "stage=former"],
    "records undo": [BULK_RUN],
    "records create": ["tag", "--set", "name=VIP"],
    "records update": ["customer", CUSTOMER, "--set", "stage=former"],
    "records delete": ["customer", OTHER, "--yes"],
    "records act": ["webhook", WEBHOOK, "disable", "--yes"],
    "views import": ["views.json"],
    "views default": ["Everybody's"],
    "views delete": ["Everybody's", "--yes"],
    "demo load": ["--today", "2026-06-01"],
    "rates set": ["EUR", "1.08", "--on", "2026-06-01"],
    "rates import": ["eurofxref.csv"],
    "rates fetch": [],
    "rates revalue": ["--yes"],
}
#: Commands whose dry run tells more on stderr than that it was one: what they found, or what would come.
TELLING = {
    "modules uninstall", "db revision", "audit verify", "audit head", "import run", "import undo", "import resume",
    "customers export-subject", "customers erase", "privacy retention run", "secrets rotate", "privacy reapply",
    "events retry", "events replay", "events discard", "jobs retry", "jobs cancel", "jobs run", "jobs schedule set",
    "records bulk", "records undo", "records create", "rates set", "rates import", "rates fetch", "rates revalue",
}  # fmt: skip
#: Commands that change something and whose answer to a program is what they changed.
ANSWERING = [
    "users deactivate", "users activate", "users assign", "users sign-out", "users reset-second-factor",
    "rules enable", "rules disable",
    "webhooks enable", "webhooks disable", "webhooks test", "webhooks secret", "webhooks replay",
    "views default", "views delete", "records undo", "records delete", "events replay",
    "import discard", "import delete-mapping",
]  # fmt: skip
ECB = "Date, USD, JPY, \n20 November 2026, 1.0825, 169.30, \n"
PLUGIN = """
from crm_kernel.contributions import Subscriber
from crm_kernel.customers.events import CustomerCreated
from crm_kernel.plugin import Plugin, hookimpl


class AlphaPlugin(Plugin):
    name = "alpha"

    @hookimpl
    def crm_register_subscribers(self):
        return [Subscriber(name="alpha.greet", event=CustomerCreated, handler=lambda uow, event: None)]
"""
MODELS = """
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.plugin import plugin_base


class Thing(plugin_base("epsilon")):
    __tablename__ = "epsilon_thing"

    id: Mapped[int] = mapped_column(primary_key=True)
"""
EPSILON = """
from crm_kernel.plugin import Plugin


class EpsilonPlugin(Plugin):
    name = "epsilon"
    model_modules = (".models",)
"""
REVISION = '''"""Create a table."""

import sqlalchemy as sa
from alembic import op

revision = "20260101_0900"
down_revision = None
branch_labels = ("{name}",)
depends_on = None


def upgrade():
    op.create_table("{name}_thing", sa.Column("id", sa.Integer, primary_key=True))


def downgrade():
    op.drop_table("{name}_thing")
'''
#: What a living connection to SQLite keeps beside the file; the file's content is compared as a dump.
_OF_THE_DATABASE = re.compile(r"crm\.db(-wal|-shm)?|.*\.pyc|__pycache__")


@dataclass(frozen=True)
class Place:
    """A folder that holds an instance, ``site``, and the modules installed for it, ``wheels``."""

    folder: Path

    @property
    def site(self) -> Path:
        return self.folder / "site"

    def state(self) -> dict[str, str]:
        """Return everything there is: each line of the database's dump, each folder, each file's digest."""
        connection = sqlite3.connect(self.site / "crm.db")
        try:
            dump = "\n".join(connection.iterdump())
        finally:
            connection.close()
        files = sorted(p for p in self.folder.rglob("*") if not _OF_THE_DATABASE.fullmatch(p.name))
        found = {str(p.relative_to(self.folder)): "folder" if p.is_dir() else _digest(p) for p in files}
        return {**found, **{f"database line {n}": line for n, line in enumerate(dump.splitlines())}}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(command: str, *more: str):
    """Run a command of the table in this process and in the current folder."""
    from crm_cli.main import cli

    return CliRunner().invoke(cli, [*command.split(), *CALLS[command], *more], prog_name="crm")


def writing_commands() -> dict[str, click.Command]:
    """Return name → command of every command of ``crm`` that has ``--dry-run``."""
    from crm_cli.main import cli

    found: dict[str, click.Command] = {}
    waiting: list[tuple[str, click.Command]] = [("", cli)]
    while waiting:
        name, command = waiting.pop()
        if isinstance(command, click.Group):
            context = click.Context(command)
            waiting += [
                (f"{name} {sub}".strip(), command.get_command(context, sub)) for sub in command.list_commands(context)
            ]
        elif any("--dry-run" in parameter.opts for parameter in command.params):
            found[name] = command
    return found


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """An instance in which every command of the table has something to do; copy it."""
    place = Place(tmp_path_factory.mktemp("dry_runs"))
    wheels = place.folder / "wheels"
    revision = "migrations/versions/20260101_0900_thing.py"
    for name in ("alpha", "beta", "gamma", "delta"):
        files = {revision: REVISION.format(name=name)} | ({"plugin.py": PLUGIN} if name == "alpha" else {})
        write_distribution(wheels, name, files=files, requires=["crm-kernel>=0.1"])
    write_distribution(wheels, "epsilon", files={"plugin.py": EPSILON, "models.py": MODELS})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(wheels))
        patch.chdir(place.folder)
        _fill(place)
    return place


def _fill(place: Place) -> None:
    from crm_cli.main import cli

    from crm_kernel._internal import lifecycle, migrations
    from crm_kernel.app import create_app
    from crm_kernel.config import load_config
    from crm_kernel.customers.privacy.digests import erased_digest

    def crm(*arguments):
        done = CliRunner().invoke(cli, list(arguments), prog_name="crm")
        assert done.exit_code == 0, done.output

    crm("init", "site", "--admin-email", "ann@example.com", "--yes")
    os.chdir(place.site)
    config = load_config()
    Path("eurofxref.csv").write_text(ECB)
    Path("views.json").write_text('[{"name": "New", "record_type": "customer", "sharing": "everyone"}]')
    Path("people.csv").write_text("kind,given_name,family_name\nperson,Ada,Lovelace\nperson,,\n")
    Path("one.csv").write_text("kind,given_name,family_name\nperson,Grace,Hopper\nperson,Alan,Turing\n")
    crm("import", "one.csv", "--record", "customer", "--yes")
    Path("two.csv").write_text("kind,given_name,family_name\nperson,Emmy,Noether\n")
    crm("import", "two.csv", "--record", "customer", "--yes")
    crm("users", "create", "bob@example.com", "--role", "reader")
    crm("users", "create", "ivy@example.com", "--role", "reader")
    crm("users", "deactivate", "ivy@example.com")
    crm("roles", "fields", "restrict", "manager", "customer", "notes", "read")
    crm("fields", "add", "customer", "tier", "--kind", "text")
    crm("fields", "add", "customer", "size", "--kind", "text")
    crm("fields", "add", "customer", "old", "--kind", "text")
    crm("fields", "archive", "customer", "old")
    for name in ("Loud", "Silent"):
        crm("webhooks", "add", "https://example.com/hook", "--user", "ann@example.com", "--name", name)
    migrations.upgrade(config, ["alpha", "gamma"])
    lifecycle.purge(config, "alpha", Path("alpha-export"))
    migrations.upgrade(config, ["alpha"])
    _store_rows(place.site / "crm.db")
    _store_secrets(place.site, config.secret_key)
    with create_app(load_config(), modules=[]).app_context():  # as the file is now: digests keep the key before
        digest = str(erased_digest(uuid.UUID(CUSTOMER)))
    (place.site / "erased.json").write_text(json.dumps([{"digest": digest}]))


def _store_rows(database: Path) -> None:
    """Write what no command makes in one step: module rows, a dead delivery, a waiting job, a lost word of the search."""
    connection = sqlite3.connect(database)
    at = "'2026-01-01 00:00:00.000000'"
    connection.executescript(f"""
        INSERT INTO module (name, state, version, changed_at) VALUES
            ('alpha', 'enabled', '1.0.0', {at}), ('gamma', 'disabled', '1.0.0', {at}), ('delta', 'enabled', '0.9', {at});
        INSERT INTO gamma_thing (id) VALUES (1), (2);
        UPDATE app_user SET tf_totp_secret = 'x', tf_primary_method = 'totp' WHERE email = 'bob@example.com';
        DELETE FROM search_entry;
        DELETE FROM job;
        INSERT INTO event (id, uid, name, version, occurred_at, payload, actor, channel, request_id, causation_depth)
            VALUES (99, X'{EVENT.replace("-", "")}', 'kernel.customer_created', 1, {at}, '{{}}', 'system', 'cli', 'r', 0);
        INSERT INTO job (uid, module, name, event_id, payload, run_at, state, failures, created_at) VALUES
            (X'{DEAD_JOB.replace("-", "")}', 'alpha', 'alpha.greet', 99, '{{}}', {at}, 3, 10, {at}),
            (X'{READY_JOB.replace("-", "")}', 'alpha', 'alpha.other', NULL, '{{}}', {at}, 0, 0, {at});
        INSERT INTO job_schedule (uid, name, module, job, payload, cron, zone, paused, next_at, created_at) VALUES
            (X'{SCHEDULE.replace("-", "")}', 'one', 'kernel', 'kernel.housekeeping', '{{}}', '0 5 * * *', 'UTC', 0, {at}, {at}),
            (X'{RESTING.replace("-", "")}', 'two', 'kernel', 'kernel.housekeeping', '{{}}', '0 6 * * *', 'UTC', 1, {at}, {at}),
            (X'{DECLARED.replace("-", "")}', 'kernel.retention', 'kernel', 'kernel.retention', '{{}}', '0 6 * * *', 'UTC', 0, {at}, {at});
        INSERT INTO bulk_run (id, uid, record_type, what, state, by_system, changed, finished_at, created_at, updated_at)
            VALUES (1, X'{BULK_RUN.replace("-", "")}', 'customer', 'update', 'done', 1, 1, CURRENT_TIMESTAMP, {at}, {at});
        INSERT INTO duplicate_candidate (uid, first_id, second_id, score, levels, state, found_at)
            SELECT X'{PAIR.replace("-", "")}', min(id), max(id), 0.9, '[]', 'open', {at} FROM customer;
        INSERT INTO rule (uid, name, enabled, record_type, event, actions, as_system, created_at, updated_at) VALUES
            (X'01990000000070008000000000000021', 'Resting', 0, 'customer', 'kernel.customer_created', '{RULE_ACTIONS}', 1, {at}, {at}),
            (X'01990000000070008000000000000022', 'Running', 1, 'customer', 'kernel.customer_created', '{RULE_ACTIONS}', 1, {at}, {at});
        INSERT INTO saved_view (uid, record_type, name, sharing, created_at, updated_at)
            VALUES (X'01990000000070008000000000000023', 'customer', 'Everybody''s', 'everyone', {at}, {at});
        INSERT INTO setting (name, value) VALUES
            ('customers.duplicates', '{{"weights": {{"m": [], "u": [], "prior": 0.1, "by": "splink"}}}}'),
            ('value:job_days', '{{"value": 9, "sealed": false, "at": "2026-01-01T00:00:00+00:00", "by": "Ann"}}');
        INSERT INTO identity_provider (uid, name, issuer, client_id, created_at, updated_at) VALUES
            (X'01990000000070008000000000000031', 'Known', 'https://known.example.com', 'crm', {at}, {at});
        UPDATE import_run SET uid = X'{DONE_RUN.replace("-", "")}' WHERE id = (SELECT min(id) FROM import_run);
        UPDATE import_run SET uid = X'{STOPPED_RUN.replace("-", "")}', state = 'stopped',
            checkpoint = '{{"source": 0, "rows": 0}}' WHERE id = (SELECT max(id) FROM import_run);
        INSERT INTO import_run (uid, created_at, state, actor, channel, name, mapping, folder, files, uploaded, checkpoint, counts)
            VALUES (X'{DRAFT_RUN.replace("-", "")}', {at}, 'draft', 'system', 'web', 'x.csv', '{{}}', '', '[]', 0, '{{}}', '[]');
        INSERT INTO import_mapping (uid, name, record_type, source, user_id, shared, created_at)
            SELECT X'{MAPPING.replace("-", "")}', 'Mine', 'customer', '{{}}', min(id), 0, {at} FROM app_user;
        UPDATE customer SET uid = X'{CUSTOMER.replace("-", "")}' WHERE id = (SELECT min(id) FROM customer);
        INSERT INTO contact_point
            (uid, customer_id, channel, value, value_normalized, is_primary, state, state_since, created_at, updated_at)
            SELECT X'{PAIR.replace("-", "")}', min(id), 'email', 'ann@crm.test', 'ann@crm.test', 1, 'unverified', {at}, {at}, {at}
            FROM customer;
        INSERT INTO retention_rule (uid, name, months, created_at, updated_at)
            VALUES (X'{SUPPRESSION.replace("-", "")}', 'idle', 1, {at}, {at});
        UPDATE customer SET updated_at = {at} WHERE id = (SELECT min(id) FROM customer);
        UPDATE webhook_endpoint SET uid = X'{WEBHOOK.replace("-", "")}' WHERE name = 'Loud';
        UPDATE webhook_endpoint SET uid = X'{SILENT.replace("-", "")}', enabled = 0 WHERE name = 'Silent';
        UPDATE customer SET uid = X'{OTHER.replace("-", "")}' WHERE id = (SELECT max(id) FROM customer);
        INSERT INTO merge_run (uid, source_id, target_id, state, merged_at, merged_by, counts, steps)
            SELECT X'{MERGE_RUN.replace("-", "")}', min(id), max(id), 'merged', {at}, 'Ann', '{{}}', '[]' FROM customer;
        INSERT INTO suppression
            (uid, channel, value_digest, reason, since, source, recorded_by, created_at, updated_at)
            VALUES (X'{SUPPRESSION.replace("-", "")}', 'any', X'{SUPPRESSION.replace("-", "")}', 'manual', {at}, 'test', 'test', {at}, {at});
    """)
    connection.close()


def _store_secrets(site: Path, key: str) -> None:
    """Encrypt what is kept encrypted for the ids it has by now: all with the key in force but one with the one before."""
    from crm_kernel.records.sealing import seal_with

    file, before = site / "crm.toml", "one-secret-key-that-was-replaced-since-then"
    file.write_text(f'previous_secret_keys = ["{before}"]\n{file.read_text()}')
    kept = (("app_user", "tf_totp_secret", "totp", before), ("webhook_endpoint", "secret", "webhook secret", key))
    with closing(sqlite3.connect(site / "crm.db")) as connection, connection:
        for table, column, use, sealed_with in kept:
            for (uid,) in connection.execute(f"SELECT uid FROM {table} WHERE {column} IS NOT NULL").fetchall():
                text = seal_with(sealed_with, b"hidden", bound_to=(use, str(uuid.UUID(bytes=uid))))
                connection.execute(f"UPDATE {table} SET {column} = ? WHERE uid = ?", (text, uid))


@pytest.fixture
def place(prepared: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A copy of the instance, as the current folder, with its modules installed."""
    from crm_kernel.database import metadata

    copy = Place(tmp_path / "place")
    shutil.copytree(prepared.folder, copy.folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.syspath_prepend(str(copy.folder / "wheels"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(copy.site)
    monkeypatch.setattr("crm_kernel.sales.publishing.fetch_ecb", lambda which, policy: ECB.encode())  # no network
    yield copy
    for name in [name for name in sys.modules if re.match(r"crm_(alpha|beta|gamma|delta|epsilon)\b", name)]:
        del sys.modules[name]
    if "epsilon_thing" in metadata.tables:
        metadata.remove(metadata.tables["epsilon_thing"])


def test_every_writing_command_is_in_the_table() -> None:
    assert writing_commands().keys() == CALLS.keys()


@pytest.mark.parametrize("command", CALLS)
def test_a_dry_run_changes_nothing(command: str, place: Place) -> None:
    before = place.state()

    done = run(command, "--dry-run")

    assert done.exit_code in (0, 7), done.output
    assert "Dry run" in done.stderr
    # "Bob is inactive." beside it would be believed.
    assert command in TELLING or done.stderr == "Dry run: nothing was changed.\n"
    assert place.state() == before


@pytest.mark.parametrize("command", ANSWERING)
def test_a_program_reads_what_a_command_changed(command: str, place: Place) -> None:
    asks = any("--yes" in parameter.opts for parameter in writing_commands()[command].params)

    done = run(command, "--json", *(["--yes"] if asks else []))

    assert done.exit_code == 0, done.output
    assert isinstance(json.loads(done.stdout), dict)


def test_the_secret_of_a_dry_run_is_not_printed(place: Place) -> None:
    shown = [run(command, "--dry-run") for command in ("webhooks secret", "webhooks add")]
    answered = run("webhooks add", "--dry-run", "--json")

    assert [found.stdout for found in shown] == ["", ""]
    assert json.loads(answered.stdout)["secret"] is None


@pytest.mark.slow
@pytest.mark.parametrize("command", CALLS)
def test_the_same_call_without_dry_run_changes_something(command: str, place: Place) -> None:
    before = place.state()
    asks = any("--yes" in parameter.opts for parameter in writing_commands()[command].params)

    done = run(command, *(["--yes"] if asks else []))

    assert done.exit_code in (0, 7), done.output
    assert place.state() != before
