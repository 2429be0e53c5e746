"""The table every record's words are found in: one row per searchable record, folded and tokenised in Python.

Folding in Python makes both databases find the same rows; their own tokenisers split and fold differently
(docs/explanation/adr/0006). SQLite searches an FTS5 index kept by triggers, PostgreSQL a generated tsvector.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from crm_kernel.data_map.references import CustomerReference
from crm_kernel.database import Model


class SearchEntry(Model):
    """The words of one record: ``title`` weighs more than ``body``; both are folded tokens separated by spaces."""

    __tablename__ = "search_entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    record_type: Mapped[str] = mapped_column(sa.String(80))
    record_id: Mapped[int] = mapped_column(
        info={"reference": CustomerReference(holds="key", type_column="record_type", merge="stay")}
    )
    title: Mapped[str] = mapped_column(sa.Text, default="")
    body: Mapped[str] = mapped_column(sa.Text, default="")

    __table_args__ = (sa.UniqueConstraint("record_type", "record_id"),)


#: The beginning of a title, or the title, in the order of its letters' codes on both databases: one or two letters begin so many words
#: that the full-text index reads most of itself for them, and this one the few rows that are shown.
TITLE_START = {
    # Whole: SQLAlchemy warns of an index over an expression wherever it reflects a table of SQLite.
    "sqlite": "title",
    "postgresql": 'substr(title, 1, 16) COLLATE "C"',
}
#: What PostgreSQL's index holds: a condition that is written otherwise is not looked up in it.
INDEXED_WORDS = (
    "(setweight(to_tsvector('simple', search_entry.title), 'A') || "
    "setweight(to_tsvector('simple', search_entry.body), 'B'))"
)
#: Statements that make the full-text index, by dialect; migrations and ``create_all`` run them.
INDEX_DDL: dict[str, tuple[str, ...]] = {
    "sqlite": (
        "CREATE VIRTUAL TABLE search_entry_fts USING fts5(title, body, content='search_entry', content_rowid='id', "
        "tokenize='unicode61 remove_diacritics 0', prefix='2 3')",
        "CREATE TRIGGER search_entry_ai AFTER INSERT ON search_entry BEGIN "
        "INSERT INTO search_entry_fts(rowid, title, body) VALUES (new.id, new.title, new.body); END",
        "CREATE TRIGGER search_entry_ad AFTER DELETE ON search_entry BEGIN "
        "INSERT INTO search_entry_fts(search_entry_fts, rowid, title, body) "
        "VALUES ('delete', old.id, old.title, old.body); END",
        "CREATE TRIGGER search_entry_au AFTER UPDATE ON search_entry BEGIN "
        "INSERT INTO search_entry_fts(search_entry_fts, rowid, title, body) "
        "VALUES ('delete', old.id, old.title, old.body); "
        "INSERT INTO search_entry_fts(rowid, title, body) VALUES (new.id, new.title, new.body); END",
        f"CREATE INDEX ix_search_entry_start ON search_entry (record_type, {TITLE_START['sqlite']}, record_id)",
    ),
    "postgresql": (
        "CREATE INDEX ix_search_entry_words ON search_entry USING gin ("
        "(setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', body), 'B')))",
        f"CREATE INDEX ix_search_entry_start ON search_entry (record_type, ({TITLE_START['postgresql']}), record_id)",
    ),
}


@sa.event.listens_for(SearchEntry.__table__, "after_create")
def _make_index(_table: object, connection: sa.Connection, **_: object) -> None:
    for statement in INDEX_DDL[connection.dialect.name]:
        connection.exec_driver_sql(statement)


@sa.event.listens_for(SearchEntry.__table__, "after_drop")
def _drop_index(_table: object, connection: sa.Connection, **_: object) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("DROP TABLE IF EXISTS search_entry_fts")
