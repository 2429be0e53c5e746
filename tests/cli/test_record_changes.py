"""``crm records show|create|update|delete|act``: one record of any type, by the same services as its pages and its API."""

from __future__ import annotations

import json
import uuid

import pytest
import sqlalchemy as sa

from crm_kernel.access.models import AuditLog
from crm_kernel.collaboration.tags.models import Tag
from crm_kernel.customers.models import Customer

pytestmark = pytest.mark.crm_databases("sqlite")


@pytest.fixture
def tag(cli):
    """The id of a tag made by the command line."""
    done = cli("records", "create", "tag", "--set", "name=VIP", "--json")
    assert done.exit_code == 0, done.stderr
    return done.json()["id"]


def test_a_record_is_made_shown_changed_and_deleted(cli, tag, unit):
    assert "name\tVIP" in cli("records", "show", "tag", tag).stdout
    assert cli("records", "update", "tag", tag, "--set", "name=Key account").exit_code == 0
    assert cli("records", "show", "tag", tag, "--json").json()["name"] == "Key account"

    assert cli("records", "delete", "tag", tag, "--yes").exit_code == 0

    assert cli("records", "show", "tag", tag).exit_code == 3
    with unit() as uow:
        channels = set(uow.session.scalars(sa.select(AuditLog.channel).where(AuditLog.record_type == "tag")))
        assert channels == {"cli"}


def test_lists_and_objects_come_as_json(cli, unit):
    points = [{"channel": "email", "value": "ada@example.org"}]
    data = json.dumps({"kind": "person", "family_name": "Lovelace", "contact_points": points})

    made = cli("records", "create", "customer", "--data", data, "--set", "given_name=Ada", "--json")

    assert made.exit_code == 0, made.stderr
    assert [point["value"] for point in made.json()["contact_points"]] == ["ada@example.org"]
    assert made.json()["display_name"] == "Ada Lovelace"


def test_an_action_is_performed(cli, unit):
    made = cli("records", "create", "customer", "--data", '{"kind": "organization", "display_name": "Acme"}', "--json")
    held = cli(
        "records", "create", "legal_hold", "--set", f"customer={made.json()['id']}", "--set", "reason=Case 7", "--json"
    )

    done = cli("records", "act", "legal_hold", held.json()["id"], "release", "--yes", "--json")

    assert done.json()["until"] is not None
    again = cli("records", "act", "legal_hold", held.json()["id"], "release", "--yes")
    assert (again.exit_code, "released already" in again.stderr) == (5, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("create", "tag", "--set", "name"),                      2, "expected FIELD=VALUE"),
        (("create", "tag", "--data", "[1]"),                      2, "expected a JSON object"),
        (("create", "tag", "--set", "nam=VIP"),                   2, "Did you mean name?"),
        (("create", "nothing", "--set", "name=x"),                3, "nothing"),
        (("create", "erasure", "--set", "reason=x"),              5, "expected one of what this type offers"),
        (("update", "tag", str(uuid.UUID(int=7))),                2, "say what to change"),
        (("update", "tag", str(uuid.UUID(int=7)), "--set", "name=x"), 3, "no"),
        (("act", "tag", str(uuid.UUID(int=7)), "melt", "--yes"),  3, "melt"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_and_changes_nothing(cli, unit, arguments, code, said):
    done = cli("records", *arguments)

    assert (done.exit_code, said in done.stderr) == (code, True), done.stderr
    with unit() as uow:
        assert uow.session.scalar(sa.select(sa.func.count()).select_from(Tag)) == 0


def test_a_user_changes_what_he_may_and_no_more(cli, unit):
    from crm_kernel.access.services import create_user

    with unit() as uow:
        create_user(uow, email="nobody@example.com", name="Nobody")

    done = cli("records", "create", "tag", "--set", "name=x", "--as", "nobody@example.com")

    assert (done.exit_code, "tag.create" in done.stderr) == (4, True)


def test_a_dry_run_writes_nothing(cli, unit):
    done = cli(
        "records", "create", "customer", "--data", '{"kind": "organization", "display_name": "Acme"}', "--dry-run"
    )

    assert (done.exit_code, "Dry run" in done.stderr) == (0, True)
    with unit() as uow:
        assert uow.session.scalar(sa.select(sa.func.count()).select_from(Customer)) == 0
