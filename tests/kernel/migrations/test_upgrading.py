"""Upgrading: order, one version table per branch, killed and parallel runs, refusals before the first statement."""

from __future__ import annotations

import gc
import multiprocessing

import pytest
import sqlalchemy as sa

from crm_kernel._internal import migrations
from crm_kernel.database import make_engine
from crm_kernel.errors import DatabaseUnavailable, NotFound, PluginError

TABLE = 'op.create_table("{0}", sa.Column("id", sa.Integer, primary_key=True))'


@pytest.fixture
def toy(tiny_kernel, install, write_revision):
    """A plugin of two revisions, five statements."""
    first = write_revision(
        "0001", [TABLE.format("toy_thing"), 'op.create_index("ix_toy_thing_id", "toy_thing", ["id"])'], name="toy"
    )
    second = write_revision(
        "0002",
        [TABLE.format("toy_part"), 'op.add_column("toy_thing", sa.Column("name", sa.String(20)))',
         "op.execute('INSERT INTO toy_part (id) VALUES (1)')"],
        name="toy",
        down="0001",
    )  # fmt: skip
    install("toy", [first, second])
    return "toy"


def applied(steps):
    return [(step.branch, step.revision) for step in steps]


def test_the_kernel_is_upgraded_first_then_modules_in_dependency_order(config, tiny_kernel, install, write_revision):
    install("aaa", [write_revision("0001", [TABLE.format("aaa_x")], name="aaa")], requires=["crm-zzz"])
    install("zzz", [write_revision("0001", [TABLE.format("zzz_x")], name="zzz")])

    steps = migrations.upgrade(config, ["aaa", "zzz"])

    assert applied(steps) == [("kernel", "0001"), ("zzz", "0001"), ("aaa", "0001")]


def test_each_branch_keeps_its_revision_in_a_table_of_its_own(sqlite_config, toy, ask):
    migrations.upgrade(sqlite_config, [toy])

    assert ask(sqlite_config, "SELECT version_num FROM alembic_version_kernel") == [("0001",)]
    assert ask(sqlite_config, "SELECT version_num FROM alembic_version_toy") == [("0002",)]


def test_a_second_upgrade_finds_nothing_to_do(sqlite_config, toy):
    migrations.upgrade(sqlite_config, [toy])

    assert migrations.upgrade(sqlite_config, [toy]) == []


def test_a_module_that_is_not_named_is_not_touched(sqlite_config, toy, schema_of):
    migrations.upgrade(sqlite_config, [])

    assert not [table for table in schema_of(sqlite_config) if table.startswith("toy_")]


class Killed(BaseException):
    """What a killed process looks like from inside: nothing below catches it."""


def killed_after(statements):
    """Return a listener that raises after so many statements that change something, and the list of those seen."""
    seen = []

    def count(_connection, _cursor, statement, *_rest):
        if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA")):
            seen.append(statement)
            if len(seen) == statements:
                raise Killed

    return count, seen


def upgrade_killed_after(config, module, statements):
    """Upgrade and die after so many statements; return whether it died."""
    count, _seen = killed_after(statements)
    sa.event.listen(sa.Engine, "after_cursor_execute", count)
    try:
        migrations.upgrade(config, [module])
    except Killed:
        return True
    finally:
        sa.event.remove(sa.Engine, "after_cursor_execute", count)
        gc.collect()  # a dead process holds no cursor; the exception's frames do, and with them SQLite's lock
    return False


def test_an_upgrade_killed_after_any_statement_converges_on_the_second_run(config, toy, schema_of, ask):
    migrations.upgrade(config, [toy])
    expected, deaths = schema_of(config), 0
    every = 1 if config.database_url.startswith("sqlite") else 4  # PostgreSQL costs a flush per drop and upgrade

    for statements in range(1, 30, every):
        ask(config, *(f"DROP TABLE {table}" for table in expected if table in schema_of(config)))
        if not upgrade_killed_after(config, toy, statements):
            break
        deaths += 1
        migrations.upgrade(config, [toy])
        assert schema_of(config) == expected, f"killed after statement {statements}"
        assert ask(config, "SELECT id FROM toy_part") == [(1,)]

    assert deaths >= 10 // every


def test_a_failing_revision_leaves_nothing_behind_and_is_named(config, tiny_kernel, install, write_revision, schema_of):
    bad = write_revision("0001", [TABLE.format("toy_half"), "op.execute('INSERT INTO nowhere VALUES (1)')"], name="toy")
    install("toy", [bad])

    with pytest.raises(migrations.MigrationFailed, match=r"toy 0001: .*nowhere.*rolled back") as failure:
        migrations.upgrade(config, ["toy"])

    assert failure.value.exit_code == 1
    assert "toy_half" not in schema_of(config)


def upgrade_and_count(config, module, queue):
    queue.put(len(migrations.upgrade(config, [module])))


def test_four_processes_that_upgrade_at_once_apply_every_revision_once(config, toy, ask):
    fork = multiprocessing.get_context("fork")
    queue = fork.Queue()
    processes = [fork.Process(target=upgrade_and_count, args=(config, toy, queue)) for _ in range(4)]

    for process in processes:
        process.start()
    counts = [queue.get(timeout=300) for _ in processes]
    for process in processes:
        process.join()

    assert sum(counts) == 3
    assert ask(config, "SELECT id FROM toy_part") == [(1,)]


def test_a_database_that_is_ahead_of_the_code_is_refused_before_any_change(sqlite_config, toy, ask, schema_of):
    migrations.upgrade(sqlite_config, [toy])
    ask(sqlite_config, "UPDATE alembic_version_toy SET version_num = '0099'")
    before = schema_of(sqlite_config)

    with pytest.raises(PluginError, match=r"toy: the database is at its revision 0099, .* ends at 0002") as refusal:
        migrations.upgrade(sqlite_config, [toy])

    assert refusal.value.exit_code == 4
    assert schema_of(sqlite_config) == before


def test_a_revision_that_needs_a_newer_kernel_is_refused_before_the_first_statement(
    sqlite_config, tiny_kernel, install, write_revision, schema_of
):
    install("toy", [write_revision("0001", [TABLE.format("toy_x")], name="toy", needs="0500")])

    with pytest.raises(PluginError, match=r"needs the kernel's revision 0500, found none: upgrade crm-kernel first"):
        migrations.upgrade(sqlite_config, ["toy"])

    assert schema_of(sqlite_config) == {}


def test_two_heads_are_named(sqlite_config, toy, install, write_revision):
    twins = [write_revision(f"000{n}", [TABLE.format(f"two_{n}")], name="two", down="0001") for n in (2, 3)]
    install("two", [write_revision("0001", ["pass"], name="two"), *twins])
    migrations.upgrade(sqlite_config, [])

    state = {branch.branch: branch for branch in migrations.status(sqlite_config)}["two"]

    assert state.state == "broken"
    assert "2 heads" in state.hint


def test_a_module_nobody_installed_is_named(sqlite_config, tiny_kernel):
    with pytest.raises(NotFound, match="module nope: no installed distribution provides it"):
        migrations.upgrade(sqlite_config, ["nope"])


def test_an_unreachable_database_is_one_clear_error(toy):
    from crm_kernel.config import Config

    config = Config(database_url="postgresql+psycopg://nobody@127.0.0.1:9/none", source="crm.toml")

    with pytest.raises(DatabaseUnavailable, match=r"database_url in crm.toml: .*"):
        migrations.upgrade(config, [toy])


def test_a_read_only_database_is_one_clear_error(sqlite_config, toy, tmp_path):
    migrations.upgrade(sqlite_config, [])
    config = sqlite_config.replace(database_url=f"sqlite:///file:{tmp_path / 'crm.db'}?mode=ro&uri=true")

    with pytest.raises(DatabaseUnavailable, match="database_url in the test: attempt to write a readonly database"):
        migrations.upgrade(config, [toy])


def test_a_rehearsal_returns_the_sql_and_changes_nothing(config, toy, schema_of):
    migrations.upgrade(config, [])
    before = schema_of(config)

    steps, sql = migrations.rehearsal(config, [toy])

    assert applied(steps) == [("toy", "0001"), ("toy", "0002")]
    assert any(statement.startswith("CREATE TABLE toy_thing") for statement in sql)
    assert schema_of(config) == before


def test_a_rehearsal_creates_no_database_file(sqlite_config, toy, tmp_path):
    migrations.rehearsal(sqlite_config, [toy])

    assert not (tmp_path / "crm.db").exists()


def test_the_plan_of_a_module_leaves_the_kernels_statements_out(sqlite_config, toy):
    migrations.upgrade(sqlite_config, [])

    sql = migrations.plan(sqlite_config, toy)

    assert sql
    assert [statement for statement in sql if "toy" not in statement] == []


def test_looking_at_a_missing_database_does_not_create_it(sqlite_config, toy, tmp_path):
    with pytest.raises(
        DatabaseUnavailable, match=r"does not exist\. Restore it from a backup, or create an empty one: crm db upgrade"
    ):
        migrations.status(sqlite_config)

    assert not (tmp_path / "crm.db").exists()


def test_the_kernel_still_migrates_when_a_modules_code_is_gone(
    sqlite_config, tiny_kernel, toy, write_revision, monkeypatch, schema_of
):
    migrations.upgrade(sqlite_config, [toy])
    monkeypatch.setattr(migrations, "installed_plugins", dict)
    file, source = write_revision("0002", [TABLE.format("invoice")], name="kernel", down="0001")
    (tiny_kernel.versions / file).write_text(source)

    steps = migrations.upgrade(sqlite_config, [])

    assert applied(steps) == [("kernel", "0002")]
    assert {branch.branch: branch.state for branch in migrations.status(sqlite_config)} == {
        "kernel": "current",
        "toy": "orphaned",
    }
    assert "toy_thing" in schema_of(sqlite_config)


def test_rebuilding_a_parent_table_on_sqlite_keeps_its_cascading_children(
    sqlite_config, tiny_kernel, install, write_revision, ask
):
    child = 'op.create_table("toy_b", sa.Column("a", sa.Integer, sa.ForeignKey("toy_a.id", ondelete="CASCADE"), primary_key=True))'
    rows = ["op.execute('INSERT INTO toy_a (id) VALUES (1)')", "op.execute('INSERT INTO toy_b (a) VALUES (1)')"]
    rebuild = [
        'with op.batch_alter_table("toy_a", recreate="always") as batch:',
        '    batch.add_column(sa.Column("n", sa.Integer))',
    ]
    first = write_revision("0001", [TABLE.format("toy_a"), child, *rows], name="toy")
    install("toy", [first, write_revision("0002", rebuild, name="toy", down="0001")])

    migrations.upgrade(sqlite_config, ["toy"])

    assert ask(sqlite_config, "SELECT a FROM toy_b") == [(1,)]


def test_a_revision_that_leaves_dangling_references_is_rolled_back(
    sqlite_config, tiny_kernel, install, write_revision, schema_of
):
    child = 'op.create_table("toy_b", sa.Column("a", sa.Integer, sa.ForeignKey("customer.id"), primary_key=True))'
    install("toy", [write_revision("0001", [child, "op.execute('INSERT INTO toy_b (a) VALUES (7)')"], name="toy")])

    with pytest.raises(migrations.MigrationFailed, match=r"1 dangling references .*toy_b row 7 → customer"):
        migrations.upgrade(sqlite_config, ["toy"])

    assert "toy_b" not in schema_of(sqlite_config)


def test_foreign_keys_are_enforced_again_on_every_other_connection(sqlite_config, toy):
    migrations.upgrade(sqlite_config, [toy])
    engine = make_engine(sqlite_config.database_url)

    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()
