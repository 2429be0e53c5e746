"""The registry accepts all records of a plugin or none, and says what is wrong with which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa
from flask import Blueprint
from marshmallow import Schema, fields
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, registry

from crm_kernel import contributions as c
from crm_kernel._internal.registry import KINDS, Contributions, Registry
from crm_kernel.database import TYPES, RecordMixin
from crm_kernel.errors import RegistrationError
from crm_kernel.events import Event
from crm_kernel.records.record_type import Action, Board, Extension, FormSection, RecordType


class Base(DeclarativeBase):
    """A registry and MetaData of this module's own: nothing of it reaches another test."""

    registry = registry(type_annotation_map=TYPES, metadata=sa.MetaData())


class Deal(RecordMixin, Base):
    """A record's table."""

    __tablename__ = "shop_deal"

    title: Mapped[str]
    stage: Mapped[str]


class DealProfile(Base):
    """A correct side table."""

    __tablename__ = "bank_deal"

    deal_id: Mapped[int] = mapped_column(sa.ForeignKey("shop_deal.id", ondelete="CASCADE"), primary_key=True)
    risk: Mapped[int]


class BlockingProfile(Base):
    """A side table that would keep the host from being deleted."""

    __tablename__ = "bank_blocking"

    deal_id: Mapped[int] = mapped_column(sa.ForeignKey("shop_deal.id"), primary_key=True)
    risk: Mapped[int]


class LooseProfile(Base):
    """A side table whose key is its own."""

    __tablename__ = "bank_loose"

    id: Mapped[int] = mapped_column(primary_key=True)
    risk: Mapped[int]


class Bare(Base):
    """A table without the columns of a record."""

    __tablename__ = "shop_bare"

    id: Mapped[int] = mapped_column(primary_key=True)


class DealSchema(Schema):
    """What can be read and written of a deal."""

    title = fields.String()
    stage = fields.String()


class RiskSchema(Schema):
    """What can be read and written of the side table."""

    risk = fields.Integer()


@dataclass(frozen=True, slots=True, kw_only=True)
class DealWon(Event):
    """A deal was won."""

    name: ClassVar[str] = "shop.deal_won"


def deal(**changes: Any) -> RecordType:
    """Return a correct record type, some of it changed."""
    settings = {
        "name": "shop.deal",
        "model": Deal,
        "schema": DealSchema,
        "label": "Deal",
        "label_plural": "Deals",
        "slug": "deals",
        "title": "title",
        **changes,
    }
    return RecordType(**settings)


def extension(**changes: Any) -> Extension:
    """Return a correct extension of the deal, some of it changed."""
    settings = {
        "host": "shop.deal",
        "name": "bank",
        "label": "Bank",
        "model": DealProfile,
        "schema": RiskSchema,
        **changes,
    }
    return Extension(**settings)


def permission(name: str) -> c.Permission:
    """Return a permission of that name."""
    return c.Permission(name=name, label=name)


def nav(name: str, order: int = 50) -> c.NavItem:
    """Return a navigation entry of that name."""
    return c.NavItem(name=name, label=name, endpoint="x", icon="x", permission="public", order=order)


def registry_with(plugin: str, **by_kind: list[Any]) -> Registry:
    """Return a registry that has accepted one plugin's records."""
    found = Registry()
    found.accept(Contributions(plugin, by_kind))
    return found


def refusal(found: Registry, plugin: str, **by_kind: list[Any]) -> str:
    """Return what the registry says when it refuses a plugin's records."""
    with pytest.raises(RegistrationError) as error:
        found.accept(Contributions(plugin, by_kind))
    return str(error.value)


def test_every_kind_of_record_belongs_to_a_hook() -> None:
    from crm_kernel import hookspecs

    hooks = {name for name in vars(hookspecs) if name.startswith("crm_register_")}

    assert {kind.hook for kind in KINDS.values()} == hooks


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_of_the_wrong_type_is_refused_by_every_kind(kind: str) -> None:
    said = refusal(Registry(), "shop", **{kind: [{"name": "shop.thing"}]})

    assert said.startswith(f"shop: {KINDS[kind].hook}: found {{'name': 'shop.thing'}}, expected records of type ")


def test_an_instance_is_refused_where_a_class_is_expected() -> None:
    assert "expected records of type Event" in refusal(Registry(), "shop", events=[DealWon()])


@pytest.mark.parametrize(
    ("kind", "record", "said"),
    [
        ("permissions", permission("sfa.deal.win"), "Permission name: found 'sfa.deal.win', expected a name starting 'shop.'"),
        ("permissions", permission("shopping.x"),   "expected a name starting 'shop.'"),
        ("nav",         nav("deals"),               "NavItem name: found 'deals'"),
        ("blueprints",  Blueprint("deals", "x"),    "blueprint: found 'deals', expected 'shop' or a name starting 'shop_'"),
        ("blueprints",  Blueprint("shopping", "x"), "blueprint: found 'shopping'"),
        ("extensions",  extension(name="bank"),     "extension: found 'bank', expected the plugin's name 'shop'"),
        ("record_types", deal(name="bank.deal"),    "RecordType name: found 'bank.deal'"),
    ],
)  # fmt: skip
def test_a_name_without_the_plugins_prefix_is_refused(kind: str, record: Any, said: str) -> None:
    assert said in refusal(Registry(), "shop", **{kind: [record]})


@pytest.mark.parametrize("name", ["shop", "shop_admin"])
def test_a_blueprint_may_be_named_as_the_plugin_or_start_so(name: str) -> None:
    assert registry_with("shop", blueprints=[Blueprint(name, "x")]).get("blueprints", name) is not None


@pytest.mark.parametrize("prefix", [None, "/shop", "/shop/tills", "/api/shop", "/api/shop/tills"])
def test_a_blueprint_may_be_mounted_below_the_addresses_of_its_plugin(prefix: str | None) -> None:
    blueprint = Blueprint("shop", "x", url_prefix=prefix)

    assert registry_with("shop", blueprints=[blueprint]).all("blueprints") == [blueprint]


@pytest.mark.parametrize("prefix", ["/", "/customers", "/shopping", "shop", "/api", "/api/shopping", "/api/customers"])
def test_a_blueprint_among_the_addresses_of_others_is_refused(prefix: str) -> None:
    said = refusal(Registry(), "shop", blueprints=[Blueprint("shop_admin", "x", url_prefix=prefix)])

    assert said == (
        f"shop: blueprint shop_admin.url_prefix: found '{prefix}', expected none (then it is /shop), or /shop for pages, "
        "/api/shop for JSON, or below these"
    )


def test_the_kernels_own_blueprints_may_be_anywhere() -> None:
    found = registry_with("kernel", blueprints=[Blueprint("shell", "x", url_prefix="/customers")])

    assert found.get("blueprints", "shell") is not None


def test_the_kernels_own_records_need_no_prefix() -> None:
    assert (
        registry_with("kernel", permissions=[permission("customer.merge")]).owner("permissions", "customer.merge")
        == "kernel"
    )


def test_a_name_twice_in_one_plugin_is_refused() -> None:
    said = refusal(Registry(), "shop", permissions=[permission("shop.open"), permission("shop.open")])

    assert "crm_register_permissions: found 'shop.open', expected a name not yet taken (by shop)" in said


def test_a_refused_plugin_leaves_no_record_behind() -> None:
    found = Registry()

    refusal(found, "shop", permissions=[permission("shop.open")], nav=[nav("shop.page"), nav("page")])

    assert not any(found.of_plugin("shop").values())
    assert found.permissions() == {}


def test_records_come_by_order_then_in_load_order() -> None:
    found = registry_with("ant", nav=[nav("ant.late", 90), nav("ant.b"), nav("ant.a")])
    found.accept(Contributions("bee", {"nav": [nav("bee.first", 1), nav("bee.c")]}))

    assert [item.name for item in found.all("nav")] == ["bee.first", "ant.b", "ant.a", "bee.c", "ant.late"]


def test_the_permissions_of_a_record_type_are_derived() -> None:
    action = Action(name="win", label="Win", service=print)

    found = registry_with("shop", record_types=[deal(actions=(action,))]).permissions()

    assert set(found) == {f"shop.deal.{verb}" for verb in ("read", "create", "update", "delete", "export", "win")}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"columns": ("title", "price")},                          "RecordType shop.deal.columns: found 'price'"),
        ({"filters": ("price",)},                                  "RecordType shop.deal.filters: found 'price'"),
        ({"sorts": ("price",)},                                    "RecordType shop.deal.sorts: found 'price'"),
        ({"default_sort": "-price"},                               "RecordType shop.deal.default_sort: found 'price'"),
        ({"search": ("price",)},                                   "RecordType shop.deal.search: found 'price'"),
        ({"title": "price"},                                       "RecordType shop.deal.title: found 'price'"),
        ({"external_key": ("price",)},                             "RecordType shop.deal.external_key: found 'price'"),
        ({"form": (FormSection(title="x", fields=("price",)),)},   "RecordType shop.deal.form: found 'price'"),
        ({"board": Board(field="price", columns=print)},           "RecordType shop.deal.board: found 'price'"),
        ({"board": Board(field="stage", columns=print, card=("price",))}, "RecordType shop.deal.board: found 'price'"),
        ({"board": Board(field="stage", columns=print)},           "RecordType shop.deal.board.field: found 'stage', expected one of its filters"),
        ({"verbs": ("read", "fly")},                               "RecordType shop.deal.verbs: found 'fly'"),
        ({"seen_with": "fly"},                                     "RecordType shop.deal.seen_with: found 'fly'"),
        ({"in_use": print},                                        "RecordType shop.deal.in_use: found 'no customer', expected customer: the attribute"),
        ({"model": Bare},                                          "RecordType shop.deal.model: found 'Bare', expected RecordMixin"),
        ({"model": dict},                                          "RecordType shop.deal.model: found <class 'dict'>, expected a mapped class"),
    ],
)  # fmt: skip
def test_a_record_type_that_contradicts_itself_is_refused(changes: dict[str, Any], said: str) -> None:
    assert said in refusal(Registry(), "shop", record_types=[deal(**changes)])


def test_an_unknown_field_is_answered_with_the_known_ones() -> None:
    assert "expected one of created_at, id, stage, title, updated_at" in refusal(
        Registry(), "shop", record_types=[deal(columns=("price",))]
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"host": "shop.nothing"},     "Extension bank of shop.nothing.host: found 'shop.nothing', expected one of shop.deal"),
        ({"form": ("colour",)},        "Extension bank of shop.deal.form: found 'colour', expected one of risk"),
        ({"filters": ("colour",)},     "Extension bank of shop.deal.filters: found 'colour'"),
        ({"columns": ("colour",)},     "Extension bank of shop.deal.columns: found 'colour'"),
        ({"model": LooseProfile},      "found 'bank_loose', expected a primary key that references shop_deal.id"),
        ({"model": BlockingProfile},   "found 'bank_blocking', expected ON DELETE CASCADE on its primary key"),
    ],
)  # fmt: skip
def test_an_extension_that_does_not_fit_its_host_is_refused(changes: dict[str, Any], said: str) -> None:
    found = registry_with("shop", record_types=[deal()])

    assert said in refusal(found, "bank", extensions=[extension(**changes)])


def test_a_plugin_may_extend_its_own_record_type_and_several_hosts() -> None:
    found = registry_with("shop", record_types=[deal(), deal(name="shop.offer", slug="offers")])

    found.accept(Contributions("bank", {"extensions": [extension(), extension(host="shop.offer")]}))

    assert [e.name for e in found.extensions_of("shop.deal")] == ["bank"]
    assert [e.name for e in found.extensions_of("shop.offer")] == ["bank"]


def test_a_second_extension_of_the_same_host_by_the_same_plugin_is_refused() -> None:
    found = registry_with("shop", record_types=[deal()])

    assert "expected a name not yet taken" in refusal(found, "bank", extensions=[extension(), extension()])


def test_what_a_plugin_contributed_can_be_listed() -> None:
    found = registry_with("shop", permissions=[permission("shop.open")], events=[DealWon])

    assert {kind: [r.name for r in records] for kind, records in found.of_plugin("shop").items() if records} == {
        "permissions": ["shop.open"],
        "events": ["shop.deal_won"],
    }
