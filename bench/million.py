"""The instance that filters are measured on: any number of customers with sales and words, written by SQL alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.site import make_app

if TYPE_CHECKING:
    from flask import Flask

_GIVEN = ("ada", "alan", "anna", "carl", "chloe", "emile", "eva", "grace", "hugo", "ines", "jurgen", "karl", "lea")
_SYLLABLES = ("ba", "cor", "dan", "el", "fen", "gar", "hol", "in", "ker", "lu", "mar", "nor", "ol", "pet", "ros", "ten")

#: What the two databases write differently.
_WORDS: dict[str, dict[str, str]] = {
    "sqlite": {
        "numbers": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})",
        "from": "n",
        "uid": "randomblob(16)",
        "moment": "strftime('%Y-%m-%d %H:%M:%f000', '2026-11-01', '-' || (i * 7919 % 1500) || ' days')",
        "day": "date('1940-01-01', '+' || (i * 104729 % 24000) || ' days')",
        "json": "'{}'",
    },
    "postgresql": {
        "numbers": "",
        "from": "generate_series(1, {rows}) AS n(i)",
        "uid": "gen_random_uuid()",
        "moment": "timestamptz '2026-11-01 00:00+00' - (i::bigint * 7919 % 1500) * interval '1 day'",
        "day": "date '1940-01-01' + (i::bigint * 104729 % 24000)::int",
        "json": "'{}'::jsonb",
    },
}

_STATEMENTS = (
    "INSERT INTO customer (id, uid, kind, display_name, sort_name, status, stage, source, external_ref, custom, created_at,"
    " updated_at) {numbers} SELECT i, {uid}, CASE WHEN i % 10 = 0 THEN 'organization' ELSE 'person' END, g.word || ' ' ||"
    " f.word, f.word || ' ' || g.word, CASE WHEN i % 4 = 0 THEN 'inactive' ELSE 'active' END, CASE WHEN i % 3 = 0 THEN"
    " 'customer' ELSE 'prospect' END, CASE WHEN i % 50 = 0 THEN 'fair' ELSE 'web' END, CAST(i AS VARCHAR(12)), {json},"
    " {moment}, {moment} FROM {from} JOIN bench_word g ON g.kind = 'given' AND g.n = i % {given} JOIN bench_word f"
    " ON f.kind = 'family' AND f.n = i / {given} % {family}",
    # One in a hundred was merged into another: what is written by hand must leave them out, as every list does.
    "UPDATE customer SET merged_into_id = id - 1 WHERE id % 100 = 99",
    "INSERT INTO person (customer_id, given_name, family_name, birth_date) {numbers} SELECT i, 'Ada', 'Baker', {day}"
    " FROM {from} WHERE i % 10 <> 0",
    "INSERT INTO organization (customer_id, industry, employees) {numbers} SELECT i, CASE WHEN i % 70 = 0 THEN 'Steel'"
    " ELSE 'Trade' END, i % 500 FROM {from} WHERE i % 10 = 0",
    "INSERT INTO sale (uid, customer_id, title, occurred_at, channel, source_plugin, external_ref, currency, amount, rate,"
    " base_amount, created_at, updated_at) {numbers} SELECT {uid}, CASE WHEN i % 2 = 0 THEN 1 + CAST(i AS BIGINT) * 31 % {rows} ELSE 1 + CAST(i AS BIGINT) * 17 % ({rows} / 10) END, 'Sale', {moment}, 'web', 'bench',"
    " CAST(i AS VARCHAR(12)), 'EUR', CAST(i AS BIGINT) * 48271 % 50000 * 100, 1000000000000, CAST(i AS BIGINT) * 48271 % 50000 * 100, {moment}, {moment} FROM {from}",
    "INSERT INTO search_entry (record_type, record_id, title, body) {numbers} SELECT 'customer', i, g.word || ' ' || f.word,"
    " trim(g.pieces || ' ' || f.pieces) FROM {from} JOIN bench_word g ON g.kind = 'given' AND g.n = i % {given}"
    " JOIN bench_word f ON f.kind = 'family' AND f.n = i / {given} % {family}",
)


def make_site(url: str, rows: int) -> Flask:
    """Return an application over a new database with that many customers and as many sales."""
    from crm_kernel.database import db
    from crm_kernel.records.pieces import pieces_of

    app = make_app(url, ())
    with app.app_context():
        engine = db.engine
    families = sorted({a + b + c for a in _SYLLABLES for b in _SYLLABLES for c in _SYLLABLES})
    named = [("given", n, w) for n, w in enumerate(_GIVEN)] + [("family", n, w) for n, w in enumerate(families)]
    words = [(kind, n, word, " ".join(pieces_of([word]))) for kind, n, word in named]
    own = _WORDS[engine.dialect.name]
    filled: dict[str, Any] = {key: text.replace("{rows}", str(rows)) for key, text in own.items()}
    filled |= {"rows": rows, "given": len(_GIVEN), "family": len(families)}
    with engine.connect() as connection:
        mark = "?" if engine.dialect.name == "sqlite" else "%s"
        connection.exec_driver_sql(
            "CREATE TABLE bench_word (kind VARCHAR(10), n INTEGER, word VARCHAR(20), pieces VARCHAR(200), PRIMARY KEY (kind, n))"
        )
        connection.exec_driver_sql(f"INSERT INTO bench_word VALUES ({mark}, {mark}, {mark}, {mark})", words)
        for statement in _STATEMENTS:
            text = statement.format(**filled)
            connection.exec_driver_sql(text if mark == "?" else text.replace("%", "%%"))
        connection.commit()
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
    return app
