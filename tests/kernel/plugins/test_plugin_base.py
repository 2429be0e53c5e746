"""What a plugin author starts from: names are checked, tables are prefixed, registries are apart."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.database import Amount, UTCDateTime, metadata
from crm_kernel.plugin import plugin_base


@pytest.mark.parametrize("name", ["", "a", "Bank", "bank_x", "1bank", "bank-x", "bänk", "b" * 32, "bank\n"])
def test_a_malformed_name_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match="a plugin's name is"):
        plugin_base(name)


@pytest.mark.parametrize("table", ["account", "bankaccount", "banks_account", "bank"])
def test_a_table_without_the_prefix_is_refused_where_it_is_defined(table: str) -> None:
    base = plugin_base("bank")

    with pytest.raises(TypeError, match=f"table '{table}' must start with 'bank_'"):
        type("Account", (base,), {"__tablename__": table, "id": mapped_column(sa.Integer, primary_key=True)})

    assert table not in metadata.tables


def test_plugins_share_the_metadata_but_not_the_registry() -> None:
    one, other = plugin_base("testone"), plugin_base("testother")

    assert one.metadata is other.metadata is metadata
    assert one.registry is not other.registry


def test_a_plugins_columns_get_the_types_of_the_house() -> None:
    import datetime as dt
    from decimal import Decimal

    base = plugin_base("testtypes")
    annotations = {"id": Mapped[int], "amount": Mapped[Decimal], "at": Mapped[dt.datetime]}
    row = type(
        "Row",
        (base,),
        {"__tablename__": "testtypes_row", "__annotations__": annotations, "id": mapped_column(primary_key=True)},
    )

    assert isinstance(row.__table__.c.amount.type, Amount)
    assert isinstance(row.__table__.c.at.type, UTCDateTime)
    metadata.remove(row.__table__)
