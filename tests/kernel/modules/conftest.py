"""An instance without modules, and two toy modules to enable in it: a shop, and a till that needs the shop."""

from __future__ import annotations

import datetime as dt
import sys
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from crm_kernel._internal.lifecycle import inspection
from crm_kernel.config import Config
from crm_kernel.database import Amount, Uid, UTCDateTime, make_engine
from crm_kernel.testing.sites import write_distribution

MODELS = """
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.database import Amount, RecordMixin
from crm_kernel.plugin import plugin_base

Base = plugin_base("shop")


class Basket(RecordMixin, Base):
    __tablename__ = "shop_basket"

    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customer.id", ondelete="CASCADE"), info={"merge": "move"})
    note: Mapped[str] = mapped_column(sa.String(80), info={"personal": True, "retention": "2 years"})
    price: Mapped[int] = mapped_column(Amount)


class Line(Base):
    __tablename__ = "shop_line"

    id: Mapped[int] = mapped_column(primary_key=True)
    basket_id: Mapped[int] = mapped_column(sa.ForeignKey("shop_basket.id", ondelete="CASCADE"))
"""
PLUGIN = """
from crm_kernel.contributions import Permission
from crm_kernel.plugin import Plugin, hookimpl


class ShopPlugin(Plugin):
    name = "shop"
    model_modules = (".models",)

    @hookimpl
    def crm_register_permissions(self):
        return [Permission(name="shop.till.open", label="Open the till")]
"""
REVISION = '''"""Create the shop's tables."""

import sqlalchemy as sa
from alembic import op

from crm_kernel import database

revision = "20260101_0900"
down_revision = None
branch_labels = ("shop",)
depends_on = None


def upgrade():
    op.create_table(
        "shop_basket",
        sa.Column("id", database.Key, primary_key=True),
        sa.Column("uid", database.Uid(), nullable=False, unique=True),
        sa.Column("version", sa.Integer, server_default="1", nullable=False),
        sa.Column("customer_id", database.Key, sa.ForeignKey("customer.id", ondelete="CASCADE"), nullable=False),
        sa.Column("note", sa.String(80), nullable=False),
        sa.Column("price", database.Amount(), nullable=False),
        sa.Column("custom", database.Json),
        sa.Column("created_at", database.UTCDateTime(), nullable=False),
        sa.Column("updated_at", database.UTCDateTime(), nullable=False),
    )
    op.create_table(
        "shop_line",
        sa.Column("id", database.Key, primary_key=True),
        sa.Column("basket_id", database.Key, sa.ForeignKey("shop_basket.id", ondelete="CASCADE"), nullable=False),
    )


def downgrade():
    op.drop_table("shop_line")
    op.drop_table("shop_basket")
'''
TILL = '''"""Create the till's table."""

import sqlalchemy as sa
from alembic import op

revision = "20260101_0901"
down_revision = None
branch_labels = ("till",)
depends_on = None


def upgrade():
    op.create_table(
        "till_receipt",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("basket_id", sa.BigInteger, sa.ForeignKey("shop_basket.id", ondelete="CASCADE")),
    )


def downgrade():
    op.drop_table("till_receipt")
'''


@pytest.fixture(scope="session")
def shop_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the shop and the till are installed."""
    site = tmp_path_factory.mktemp("shop_site")
    files = {"plugin.py": PLUGIN, "models.py": MODELS, "migrations/versions/20260101_0900_shop.py": REVISION}
    write_distribution(site, "shop", files=files, requires=["crm-kernel>=0.1"], summary="A shop")
    till = {"migrations/versions/20260101_0901_till.py": TILL}
    return write_distribution(site, "till", files=till, requires=["crm-kernel>=0.1", "crm-shop>=1"], summary="A till")


@pytest.fixture
def shop(shop_site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the shop and the till for one test."""
    monkeypatch.syspath_prepend(str(shop_site))
    return shop_site


_seen: dict[tuple[object, ...], dict[str, object]] = {}


@pytest.fixture(autouse=True)
def _remember_inspections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load each set of modules in a child process once per test run: it takes seconds and gives the same answer."""
    load = inspection._report

    def remembered(config, modules, patience):
        key = (tuple(sorted(modules)), tuple(path for path in sys.path if "pytest" in path))
        if key not in _seen:
            _seen[key] = load(config, modules, patience)
        return _seen[key]

    monkeypatch.setattr(inspection, "_report", remembered)


@pytest.fixture
def instance(available_database: str, crm_test_databases, tmp_path: Path) -> Config:
    """The settings of an instance with the kernel's tables and no module; runs on SQLite and on PostgreSQL."""
    url = crm_test_databases.fresh(available_database, (), "modules")
    return Config(database_url=url, secret_key="x" * 40, source="the test")


@pytest.fixture
def fill():
    """Put a customer, a basket and two lines into an instance with the shop."""

    def run(config):
        from crm_kernel.customers.models import Customer

        now = dt.datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=dt.UTC)
        basket = sa.table(
            "shop_basket",
            sa.column("id"), sa.column("uid", Uid()), sa.column("customer_id"), sa.column("note"),
            sa.column("price", Amount()), sa.column("created_at", UTCDateTime()), sa.column("updated_at", UTCDateTime()),
        )  # fmt: skip
        engine = make_engine(config.database_url)
        with engine.begin() as connection:
            customer = connection.execute(
                sa.insert(Customer)
                .values(kind="person", display_name="Zoé", sort_name="zoé", custom={})
                .returning(Customer.id)
            ).scalar_one()
            row = {"id": 41, "uid": uuid.UUID(int=7), "customer_id": customer, "note": "à ne pas « oublier »\n"}
            row |= {"price": "12.3456", "created_at": now, "updated_at": now}
            connection.execute(sa.insert(basket).values(row))
            connection.exec_driver_sql("INSERT INTO shop_line (id, basket_id) VALUES (1, 41), (2, 41)")
        engine.dispose()

    return run
