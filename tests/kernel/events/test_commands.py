"""``crm events`` and ``crm jobs``: JSON on stdout, messages on stderr, exit codes 0, 2, 3 and 5."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

import pytest

from crm_kernel import contributions as c
from crm_kernel.database import utcnow
from crm_kernel.jobs import services

ADA = UUID("018f0000-0000-7000-8000-00000000ada0")


@pytest.fixture
def broken() -> set[str]:
    """Labels the handlers cannot take."""
    return {"bad"}


@pytest.fixture(autouse=True)
def told(site, kit, broken):
    """One event that was taken, one whose delivery is dead, one dead job."""

    def take(uow, label):
        if label in broken:
            raise ValueError(f"cannot take {label}\nsecond line")
        kit.leave_effect(uow, label)

    subscriber = c.Subscriber(
        name="alpha.take", event=kit.Happened, handler=lambda uow, e: take(uow, e.label), max_attempts=1
    )
    job = c.Job(name="alpha.job", handler=lambda uow, payload: take(uow, payload["label"]), max_attempts=1)
    site.load(alpha=kit.Pieces(events=[kit.Happened], subscribers=[subscriber], jobs=[job]))
    site.clock = utcnow  # the command line has no other
    site.tell("good", "bad", customer=ADA)
    site.call(services.enqueue, "alpha.job", {"label": "bad"})
    site.runner().drain()


def _json(result):
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def _jobs(crm):
    return [row["id"] for row in _json(crm("jobs", "list", "--json"))]


def test_events_list_shows_the_states_of_their_deliveries(crm):
    rows = _json(crm("events", "list", "--json", "--customer", ADA))

    assert [(row["payload"]["label"], row["deliveries"]) for row in rows] == [
        ("bad", {"dead": 1}),
        ("good", {"done": 1}),
    ]
    assert "1 dead" in crm("events", "list").stdout
    assert _json(crm("events", "list", "--json", "--name", "beta.*")) == []


def test_events_show_gives_every_delivery_with_its_reason(crm):
    event = _json(crm("events", "list", "--json"))[0]["id"]

    shown = _json(crm("events", "show", event, "--json"))
    assert shown["deliveries"][0]["subscriber"] == "alpha.take"
    assert shown["deliveries"][0]["error"].startswith("ValueError: cannot take bad")
    assert "payload.label\tbad" in crm("events", "show", event).stdout


def test_events_dead_and_retry_bring_a_delivery_to_its_end(crm, site, broken):
    dead = _json(crm("events", "dead", "--json"))
    assert [(row["subscriber"], row["state"]) for row in dead] == [("alpha.take", "dead")]
    broken.clear()

    rehearsed = crm("events", "retry", "--all", "--dry-run")
    assert "Dry run: nothing was changed." in rehearsed.stderr
    assert len(_json(crm("events", "dead", "--json"))) == 1

    assert _json(crm("events", "retry", dead[0]["event"], "--json"))[0]["state"] == "ready"
    site.runner().drain()
    assert site.effects() == ["good", "bad"]
    assert _json(crm("events", "dead", "--json")) == []


def test_events_replay_delivers_once_more(crm, site):
    event = _json(crm("events", "list", "--json"))[1]["id"]

    assert crm("events", "replay", event, "--subscriber", "alpha.take", "--dry-run").exit_code == 0
    assert site.runner().drain() == 0
    assert crm("events", "replay", event, "--subscriber", "alpha.take").exit_code == 0
    site.runner().drain()
    assert site.effects() == ["good", "good"]


def test_events_catalogue_describes_the_events(crm):
    (event,) = _json(crm("events", "catalogue", "--json"))

    assert (event["name"], event["subscribers"]) == ("alpha.happened", ["alpha.take"])
    assert "customer_id: uuid?" in crm("events", "catalogue").stdout


def test_jobs_list_filters_and_pages(crm):
    rows = _json(crm("jobs", "list", "--json"))
    assert [(row["name"], row["state"]) for row in rows] == [
        ("alpha.job", "dead"),
        ("alpha.take", "dead"),
        ("alpha.take", "done"),
    ]
    newest, failed, done = (row["id"] for row in rows)
    assert [row["id"] for row in _json(crm("jobs", "list", "--json", "--state", "done"))] == [done]
    assert [row["id"] for row in _json(crm("jobs", "list", "--json", "--before", newest, "--limit", 1))] == [failed]
    assert "second line" not in crm("jobs", "dead").stdout
    assert _json(crm("jobs", "backlog", "--json")) == [{"module": "alpha", "waiting": 0, "dead": 2, "oldest_due": None}]


def test_jobs_retry_and_cancel_change_what_they_say(crm, site, broken):
    broken.clear()
    last, failed, _done = _jobs(crm)
    assert "would be due now" in crm("jobs", "retry", "--all", "--name", "alpha.job", "--dry-run").stderr
    assert [row["id"] for row in _json(crm("jobs", "retry", "--all", "--name", "alpha.job", "--json"))] == [last]
    site.runner().drain()
    assert site.states() == ["DONE", "DEAD", "DONE"]

    assert crm("jobs", "cancel", failed, "--dry-run").exit_code == 0
    assert site.states()[1] == "DEAD"
    assert _json(crm("jobs", "cancel", failed, "--json"))[0]["state"] == "cancelled"
    assert crm("jobs", "dead", "--json").stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["events", "show", uuid4()], 3, "no such event"),
        (["events", "show", "no-uuid"], 2, "not a valid UUID"),
        (["events", "retry"], 2, "--all"),
        (["events", "retry", uuid4(), "--all"], 2, "--all"),
        (["events", "retry", uuid4()], 3, "no such event"),
        (["events", "replay", uuid4(), "--subscriber", "x"], 3, "no such event"),
        (["jobs", "retry", ADA], 3, f"job {ADA}: no such job"),
        (["jobs", "retry", 99], 2, "not a valid UUID"),
        (["jobs", "retry"], 2, "--all"),
        (["jobs", "retry", "the done one", "--module", "alpha"], 2, "go with --all"),
        (["jobs", "retry", "the done one"], 5, "is done"),
        (["jobs", "cancel"], 2, "name the jobs"),
        (["jobs", "cancel", "the done one"], 5, "done already"),
        (["jobs", "list", "--state", "odd"], 2, "odd"),
    ],
)
def test_what_cannot_be_done_is_said_on_stderr_with_its_exit_code(crm, arguments, exit_code, message):
    done = _jobs(crm)[-1]

    result = crm(*(done if found == "the done one" else found for found in arguments))

    assert result.exit_code == exit_code
    assert message in result.stderr
    assert result.stdout == ""
