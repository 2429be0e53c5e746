"""Building an application: what it leaves open, which forked workers would share."""

from __future__ import annotations

from crm_kernel.database import db
from crm_kernel.testing.apps import build


def test_an_application_is_built_without_a_connection_that_stays_open(crm_app):
    app = build(crm_app.config["SQLALCHEMY_DATABASE_URI"], ())

    with app.app_context():
        assert db.engine.pool.checkedin() + db.engine.pool.checkedout() == 0
        with db.engine.connect():
            assert db.engine.pool.checkedout() == 1
        db.engine.dispose()
