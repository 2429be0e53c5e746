"""The pages of custom fields: added in every kind, shown before it happens, changed, ordered, archived, removed."""

from __future__ import annotations

import html
import re

import pytest
import sqlalchemy as sa

from crm_kernel.access.models import AuditLog, FieldRule
from crm_kernel.jobs.models import JobRow
from crm_kernel.records.custom_fields import indexing
from crm_kernel.records.custom_fields.models import CustomField
from crm_kernel.records.custom_fields.services import add_field, archive_field, fields_of

HOST = "/admin/fields/customer"
#: Kind → what its form is sent beside name and labels, and what is stored of that.
KINDS = {
    "text": ({"multiline": ["", "1"], "default": "none"}, {"multiline": True, "default": "none"}),
    "number": ({"default": "1.5"}, {"default": "1.5"}),
    "money": ({"default": "12.50", "default_currency": "USD"}, {"default": {"amount": "12.50", "currency": "USD"}}),
    "date": ({"default": "2026-03-01"}, {"default": "2026-03-01"}),
    "choice": (
        {"choices": "gold = Gold | Or\r\ntin=Tin", "default": "tin"},
        {
            "choices": [
                {"value": "gold", "labels": {"en": "Gold", "fr": "Or"}},
                {"value": "tin", "labels": {"en": "Tin"}},
            ],
            "default": "tin",
        },
    ),
    "multichoice": ({"choices": "a\nb", "default": "a; b"}, {"default": ["a", "b"]}),
    "reference": ({"target": "user"}, {"target": "user", "default": None}),
    "boolean": ({"default": "false"}, {"default": False}),
    "email": ({"searchable": ["", "1"]}, {"searchable": True, "default": None}),
    "phone": ({"required": ["", "1"]}, {"required": True}),
    "url": ({"listed": ["", "1"], "section": "Contract"}, {"listed": True, "section": "Contract"}),
}


@pytest.fixture
def declare(unit):
    """Declare a custom field of customers: ``declare("tier", "text", listed=True)``."""

    def run(name, kind="text", **options):
        with unit(channel="cli") as uow:
            return add_field(uow, "customer", name, kind, **options).name

    return run


@pytest.fixture
def stored(unit):
    """The custom fields of customers by name, in order."""

    def read():
        with unit() as uow:
            found = {field.name: field for field in fields_of(uow, "customer")}
            uow.session.expunge_all()
            return found

    return read


def confirmed(send, admin, path, **fields):
    """Submit a form, then what its preview sends."""
    preview = send(admin, path, **fields)
    assert preview.status_code == 200, preview.text
    sent = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', preview.text)
    again: dict[str, list[str]] = {}
    for name, value in sent:
        if name != "csrf_token":
            again.setdefault(name, []).append(html.unescape(value))
    return send(admin, path, **again, step="do")


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_of_every_kind_is_added_by_its_form(admin, send, stored, kind):
    sent, expected = KINDS[kind]

    answer = confirmed(send, admin, f"{HOST}/new", kind=kind, name="own", label_en="Own", label_fr="Propre", **sent)

    field = stored()["cf_own"]
    assert answer.status_code == 303
    assert (field.kind, field.labels) == (kind, {"en": "Own", "fr": "Propre"})
    assert {name: getattr(field, name) for name in expected} == expected


def test_the_preview_says_what_would_be_and_adds_nothing(admin, send, stored, factories, unit):
    factories.person(given_name="Ada")

    page = send(
        admin,
        f"{HOST}/new",
        kind="choice",
        name="tier",
        label_en="Tier",
        choices="gold = Gold",
        required="1",
        indexed="1",
    ).text

    text = html.unescape(page)
    assert "the 1 record there is stays valid" in text
    assert "makes an index over 1 record" in text
    assert "crm fields add customer tier --kind choice --label en=Tier --choices-json" in text
    assert "--required --indexed" in text
    assert stored() == {}
    with unit() as uow:
        assert uow.session.scalar(sa.select(sa.func.count()).select_from(JobRow)) == 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "text", "name": "Big Name"}, "lower-case letters, digits and single underscores"),
        ({"kind": "choice", "name": "tier", "choices": ""}, "at least one choice"),
        ({"kind": "number", "name": "size", "default": "many"}, "“many” is not a number as it is written here"),
        ({"kind": "text", "name": "tier", "position": "first"}, "expected a whole number"),
        ({"kind": "text", "name": "tier", "section": "x" * 81}, "at most 80 characters"),
        ({"kind": "text", "name": "kept"}, "has a field cf_kept already"),
    ],
)
def test_a_refused_form_comes_back_with_what_was_typed_and_the_reason(admin, send, declare, stored, fields, said):
    declare("kept")

    answer = send(admin, f"{HOST}/new", label_en="Keep <me>", **fields)

    assert answer.status_code in (409, 422)
    assert said in html.unescape(answer.text)
    assert 'value="Keep &lt;me&gt;"' in answer.text
    assert list(stored()) == ["cf_kept"]


def test_a_change_is_shown_with_its_command_and_touches_nothing_else(admin, send, declare, stored):
    declare("tier", labels={"en": "Tier", "de": "Stufe"}, searchable=True)
    form = {"label_en": "Rank", "listed": ["", "1"], "searchable": ["", "1"], "required": "", "indexed": ""}

    page = html.unescape(send(admin, f"{HOST}/cf_tier", **form).text)
    answer = confirmed(send, admin, f"{HOST}/cf_tier", **form)

    assert "crm fields change customer cf_tier --label de=Stufe --label en=Rank --listed" in page
    assert "Lists get one more column" in page
    field = stored()["cf_tier"]
    assert answer.status_code == 303
    assert (field.labels, field.listed, field.searchable) == ({"en": "Rank", "de": "Stufe"}, True, True)


def test_a_choice_that_records_hold_is_not_taken_away(admin, send, declare, stored, factories):
    declare("tier", "choice", choices=[{"value": v, "labels": {"en": v}} for v in ("gold", "tin")])
    factories.record("customer", kind="organization", display_name="Ada", cf_tier="tin")

    answer = send(admin, f"{HOST}/cf_tier", label_en="Tier", choices="gold = Gold")

    assert answer.status_code == 409
    assert "1 records use what would go: tin" in answer.text
    assert [choice["value"] for choice in stored()["cf_tier"].choices] == ["gold", "tin"]


def test_fields_are_ordered_within_their_section_without_scripts(admin, send, declare, stored):
    for name, section in (("a", "One"), ("b", "Two"), ("c", "One"), ("d", "One")):
        declare(name, section=section)

    send(admin, f"{HOST}/cf_d/move/up")
    send(admin, f"{HOST}/cf_d/move/up")
    send(admin, f"{HOST}/cf_d/move/up")

    assert list(stored()) == ["cf_d", "cf_b", "cf_a", "cf_c"]
    page = admin.get(HOST).text
    assert f"{HOST}/cf_d/move/up" not in page
    assert f"{HOST}/cf_d/move/down" in page


def test_fields_at_one_position_can_be_ordered_too(admin, send, declare, stored):
    for name in ("a", "b", "c"):
        declare(name, position=0)

    send(admin, f"{HOST}/cf_c/move/up")

    assert list(stored()) == ["cf_a", "cf_c", "cf_b"]


def test_an_index_is_made_by_a_job_and_the_page_says_how_far_it_is(admin, send, declare, crm_app, unit):
    declare("tier")
    confirmed(send, admin, f"{HOST}/cf_tier", label_en="Tier", indexed=["", "1"])
    waiting = admin.get(HOST).text

    with unit() as uow:
        job = uow.session.scalars(sa.select(JobRow).where(JobRow.name == indexing.INDEX)).one()
        uid, payload = job.uid, dict(job.payload)
    with crm_app.app_context():
        indexing.make_index(payload)

    assert "Index is being made" in waiting
    assert 'hx-trigger="every 3s"' in waiting
    assert f'/jobs/{uid}"' in waiting
    done = admin.get(HOST).text
    assert "Index is being made" not in done
    assert ">Indexed<" in done


def test_a_job_for_a_field_that_was_archived_meanwhile_makes_no_index(admin, send, declare, crm_app, unit):
    declare("tier")
    confirmed(send, admin, f"{HOST}/cf_tier", label_en="Tier", indexed=["", "1"])
    with unit() as uow:
        field = fields_of(uow, "customer")[0]
        payload = {"field": str(field.uid)}
        archive_field(uow, field)

    with crm_app.app_context():
        indexing.make_index(payload)

    with unit() as uow:
        from crm_kernel.records.custom_fields import indexes

        assert not indexes.is_usable(uow.session.connection(), "customer", "cf_tier")


def test_what_roles_see_of_a_field_is_said_beside_it(admin, send, declare, unit):
    declare("tier")

    first = send(admin, f"{HOST}/cf_tier/roles", **{"role-reader": "hidden", "role-manager": "read"})
    send(admin, f"{HOST}/cf_tier/roles", **{"role-manager": ""})

    assert first.status_code == 303, first.text
    with unit() as uow:
        rules = [(rule.field, rule.access) for rule in uow.session.scalars(sa.select(FieldRule))]
    assert rules == [("cf_tier", "hidden")]
    assert "crm roles fields restrict manager customer cf_tier hidden" in admin.get(f"{HOST}/cf_tier").text


def test_archiving_and_removing_say_first_what_goes(admin, send, declare, stored, factories):
    declare("tier", indexed=True)
    factories.record("customer", kind="organization", display_name="Ada", cf_tier="<gold>")

    preview = admin.get(f"{HOST}/cf_tier/archive").text
    send(admin, f"{HOST}/cf_tier/archive")
    final = admin.get(f"{HOST}/cf_tier/remove").text
    untyped = send(admin, f"{HOST}/cf_tier/remove", typed="tier")
    still = stored()
    gone = send(admin, f"{HOST}/cf_tier/remove", typed="cf_tier")

    assert "1 record has a value." in preview
    assert "For example: &lt;gold&gt;" in preview
    assert "Its index is dropped." in preview
    assert "crm fields remove customer cf_tier" in final
    assert untyped.status_code == 422
    assert still["cf_tier"].archived_at is not None
    assert gone.status_code == 303
    assert stored() == {}


def test_values_of_records_that_the_reader_may_not_see_are_no_examples(login, declare, factories):
    declare("tier")
    factories.record("customer", kind="organization", display_name="Ada", cf_tier="secret-word")

    page = login(grants={"custom_field.*": "all"}).get(f"{HOST}/cf_tier/archive").text

    assert "1 record has a value." in page
    assert "secret-word" not in page


def test_an_archived_field_is_taken_into_use_again(admin, send, declare, stored):
    declare("tier")
    send(admin, f"{HOST}/cf_tier/archive")
    archived = admin.get(HOST).text

    send(admin, f"{HOST}/cf_tier/restore")

    assert "Use it again" in archived
    assert stored()["cf_tier"].archived_at is None
    assert send(admin, f"{HOST}/cf_tier/remove", typed="cf_tier").status_code == 409


def test_fields_of_code_are_listed_and_lead_nowhere(admin, declare):
    declare("tier", section="Contract", labels={"en": "Tier", "fr": "Niveau"})

    page = admin.get(HOST).text

    assert "<code>display_name</code>" in page
    assert f'href="{HOST}/display_name"' not in page
    assert f'href="{HOST}/cf_tier"' in page
    assert admin.get(f"{HOST}/display_name").status_code == 404
    assert admin.get("/admin/fields/nothing").status_code == 404


def test_every_change_on_the_pages_is_audited_with_who_made_it(admin, send, stored, unit):
    confirmed(send, admin, f"{HOST}/new", kind="text", name="tier", label_en="Tier")
    send(admin, f"{HOST}/cf_tier/archive")

    with unit() as uow:
        about = sa.select(AuditLog.actor, AuditLog.action, AuditLog.channel).where(
            AuditLog.record_type == "custom_field"
        )
        rows = [tuple(row) for row in uow.session.execute(about.order_by(AuditLog.id))]
    assert rows == [("Administrator", "created", "web"), ("Administrator", "updated", "web")]


def test_who_may_not_change_fields_sees_none_of_it(login, send, declare, unit):
    declare("tier")
    manager = login("manager")

    for path in ("/admin/fields", HOST, f"{HOST}/new", f"{HOST}/cf_tier", f"{HOST}/cf_tier/archive"):
        assert manager.get(path).status_code == 403, path
    for path in ("new", "cf_tier", "cf_tier/move/up", "cf_tier/archive", "cf_tier/remove", "cf_tier/roles"):
        assert send(manager, f"{HOST}/{path}", typed="cf_tier", kind="text").status_code == 403, path
    with unit() as uow:
        assert uow.session.scalars(sa.select(CustomField.archived_at)).one() is None


def test_the_list_costs_the_same_queries_with_many_fields(admin, declare, count_queries):
    declare("one")
    admin.get(HOST)
    with count_queries() as few:
        admin.get(HOST)
    for number in range(6):
        declare(f"more_{number}")
    admin.get(HOST)

    with count_queries() as more:
        admin.get(HOST)

    more.at_most(len(few))


def test_the_record_page_of_a_field_names_the_commands_that_change_it(login, declare, unit):
    name = declare("tier")
    with unit() as uow:
        uid = uow.session.scalars(sa.select(CustomField.uid)).one()

    page = login("administrator").get(f"/custom-fields/{uid}")

    assert page.status_code == 200
    assert f"crm fields archive customer {name}" in page.text
