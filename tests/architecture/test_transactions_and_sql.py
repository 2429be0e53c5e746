"""One place commits, plugins have registries of their own, and no SQL is put together from text."""

from __future__ import annotations

import ast
from typing import Any

import pytest

#: Who may call ``.commit()``, and why.
MAY_COMMIT = {
    "crm_kernel/unit_of_work.py": "it is the unit of work",
    "crm_kernel/testing/databases.py": "fills the template before there is an application",
    "crm_kernel/_internal/lifecycle/purging.py": "removes a module whose code may be gone, without an application",
    "crm_kernel/_internal/lifecycle/restoring.py": "puts purged rows back, without an application",
}
#: Who may put an identifier into SQL text, and why: identifiers cannot be bound. Values are bound everywhere.
MAY_COMPOSE_SQL = {
    "crm_kernel/testing/databases.py": "names of test databases, made by itself",
    "crm_kernel/testing/resetting.py": "names of tables it found in the database",
    "crm_kernel/_internal/lifecycle/purging.py": "names of tables it found in the database, quoted",
    "crm_kernel/migrations/running.py": "a pragma takes no bound value",
    "crm_kernel/database.py": "a pragma takes no bound value",
}
_SQL_CALLS = {"text", "execute", "exec_driver_sql", "executemany", "literal_column", "scalar", "scalars"}


def commits(source: Any) -> list[str]:
    """Return the places where something is committed."""
    if source.path in MAY_COMMIT:
        return []
    return [source.at(node) for node in source.walk() if _is_method_call(node, "commit")]


def uses_of_db_model(source: Any) -> list[str]:
    """Return the places that use Flask-SQLAlchemy's shared model class."""
    return [
        source.at(node)
        for node in source.walk()
        if isinstance(node, ast.Attribute) and node.attr == "Model" and _name(node.value) == "db"
    ]


def composed_sql(source: Any) -> list[str]:
    """Return the places where SQL text is put together instead of written down."""
    if source.path in MAY_COMPOSE_SQL:
        return []
    return [
        source.at(node)
        for node in source.walk()
        if isinstance(node, ast.Call) and _called(node) in _SQL_CALLS and node.args and _is_composed(node.args[0])
    ]


def string_templates(source: Any) -> list[str]:
    """Return the places that render a template from a string."""
    return [
        source.at(node)
        for node in source.walk()
        if (isinstance(node, ast.Name) and node.id == "render_template_string")
        or (isinstance(node, ast.Attribute) and node.attr in ("render_template_string", "from_string"))
    ]


def foreign_relationships(source: Any, own_classes: set[str]) -> list[str]:
    """Return relationships that name a class which the package's own registry does not hold."""
    return [
        source.at(node)
        for node in source.walk()
        if isinstance(node, ast.Call)
        and _called(node) == "relationship"
        and any(
            isinstance(a, ast.Constant) and isinstance(a.value, str) and a.value not in own_classes for a in node.args
        )
    ]


def _is_method_call(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else _name(call.func)


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _is_composed(node: ast.AST) -> bool:
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add):
        return any(isinstance(s, ast.Constant | ast.JoinedStr) and _is_text(s) for s in (node.left, node.right))
    return _is_method_call(node, "format") and _is_text(node.func.value)  # type: ignore[attr-defined]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_only_the_unit_of_work_commits(sources: list[Any]) -> None:
    assert [place for source in sources for place in commits(source)] == []


def test_nobody_uses_the_shared_model_class(sources: list[Any]) -> None:
    assert [place for source in sources for place in uses_of_db_model(source)] == []


def test_no_sql_is_put_together_from_text(sources: list[Any]) -> None:
    assert [place for source in sources for place in composed_sql(source)] == []


def test_templates_are_files(sources: list[Any]) -> None:
    assert [place for source in sources for place in string_templates(source)] == []


def test_relationships_stay_inside_one_registry(sources: list[Any]) -> None:
    own: dict[str, set[str]] = {}
    for source in sources:
        own.setdefault(source.package, set()).update(n.name for n in source.walk() if isinstance(n, ast.ClassDef))

    assert [place for source in sources for place in foreign_relationships(source, own[source.package])] == []


@pytest.mark.parametrize("allowed", [MAY_COMMIT, MAY_COMPOSE_SQL])
def test_the_exceptions_exist(allowed: dict[str, str], sources: list[Any]) -> None:
    assert allowed.keys() <= {source.path for source in sources}


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        (commits, "uow.session.commit()", "uow.session.flush()"),
        (uses_of_db_model, "class A(db.Model): pass", "class A(Model): pass"),
        (composed_sql, "sa.text(f'DELETE FROM {table}')", "sa.text('DELETE FROM customer')"),
        (composed_sql, "c.exec_driver_sql('DROP TABLE %s' % name)", "c.exec_driver_sql('PRAGMA foreign_key_check')"),
        (composed_sql, "c.execute('DROP TABLE {}'.format(name))", "c.execute(sa.delete(Customer))"),
        (composed_sql, "sa.text('DROP TABLE ' + name)", "sa.text('SELECT :key'), {'key': f'{a}'}"),
        (string_templates, "flask.render_template_string(x)", "flask.render_template('a.html')"),
        (lambda s: foreign_relationships(s, {"Lead"}), "relationship('Customer')", "relationship('Lead')"),
    ],
)
def test_each_rule_finds_what_it_forbids(rule: Any, bad: str, good: str, sample: Any) -> None:
    assert rule(sample(bad)) == ["crm_kernel/sample.py:1"]
    assert rule(sample(good)) == []
