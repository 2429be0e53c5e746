"""Reading tables as the database has them changes nothing for other threads: filters of warnings are set at the start."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
import sqlalchemy as sa

from crm_kernel.data_map.tables import reflected_tables

_STARTED = """
import warnings
from sqlalchemy.exc import SAWarning
from crm_kernel.database import make_engine

make_engine("sqlite://").dispose()
found = list(warnings.filters)
make_engine("sqlite://").dispose()
assert warnings.filters == found
warnings.warn("Skipped unsupported reflection of expression-based index ix_a", SAWarning)
try:
    warnings.warn("Something else", SAWarning)
except SAWarning:
    print("told")
"""


@pytest.mark.crm_databases("sqlite")
def test_reading_tables_leaves_the_filters_of_warnings_alone(unit):
    with unit() as uow:
        uow.session.execute(sa.text("CREATE TABLE warned (id INTEGER PRIMARY KEY, name TEXT)"))
        uow.session.execute(sa.text("CREATE INDEX ix_warned ON warned (lower(name))"))
        before = list(warnings.filters)

        found = reflected_tables(uow, ["warned"])

        assert warnings.filters == before
        assert [column.name for column in found["warned"].columns] == ["id", "name"]
        uow.session.execute(sa.text("DROP TABLE warned"))


def test_the_first_engine_of_a_process_has_them_set_once_and_for_this_warning_alone():
    done = subprocess.run([sys.executable, "-W", "error", "-c", _STARTED], capture_output=True, text=True, check=False)

    assert (done.stdout.strip(), done.returncode) == ("told", 0), done.stderr
