"""``/api/jobs``: one's own jobs and, for whoever looks after the queues, all of them; nothing secret is told."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from crm_kernel.access.acting import actor_of
from crm_kernel.access.models import AuditLog
from crm_kernel.jobs import queries, services
from crm_kernel.jobs.describing import described
from crm_kernel.jobs.masking import MASK, masked_payload, masked_text
from crm_kernel.jobs.models import JobRow, JobState

JOB = "kernel.housekeeping"
#: Rights of somebody who looks after customers, not after queues.
OWN = {"customer.*": "all"}
ERROR = "RuntimeError: ada@example.com refused\n  there.py:1 there"


@pytest.fixture
def store(unit):
    """Store a job of a user's, or of nobody's: ``store(user, {…}, state="DEAD")`` → its public id as text."""

    def run(user=None, payload=None, *, state="READY", **values):
        with unit() as uow:
            if user is not None:
                uow.actor = actor_of(uow, user.id)
            key = services.enqueue(uow, JOB, payload or {})
            values = {"state": int(JobState[state]), **values}
            uow.session.execute(sa.update(JobRow).where(JobRow.id == key).values(values))
            return str(queries.job_uid(uow, key))

    return run


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json["items"]]


def test_a_user_sees_the_jobs_he_asked_for_and_nobody_elses(api, store):
    ada, bob = api(grants=OWN), api(grants=OWN)
    his, hers = store(bob.user), store(ada.user)
    store()

    assert ids(ada.get("/api/jobs")) == [hers]
    assert ada.get(f"/api/jobs/{hers}").json["state"] == "ready"
    for path in (f"/api/jobs/{his}", f"/api/jobs/{his}/progress"):
        assert ada.get(path).status_code == 404
    for verb in ("retry", "cancel"):
        assert ada.post(f"/api/jobs/{his}/{verb}").status_code == 404


def test_what_a_job_enqueues_is_whose_the_job_is(api, store, unit, deliver_events):
    ada = api(grants=OWN)
    with unit() as uow:
        uow.asked_by = ada.user.id
        services.enqueue(uow, JOB, {})

    assert len(ids(ada.get("/api/jobs"))) == 1


def test_whoever_looks_after_the_queues_sees_all_with_payload_and_trace_without_secrets(api, store):
    boss, ada = api("administrator"), api(grants=OWN)
    uid = store(ada.user, {"api_token": "t0p", "to": {"mail": "ada@example.com"}}, state="DEAD", error=ERROR)

    told, own = boss.get(f"/api/jobs/{uid}").json, ada.get(f"/api/jobs/{uid}").json

    assert told["payload"] == {"api_token": MASK, "to": {"mail": f"{MASK}@example.com"}}
    assert told["trace"] == f"RuntimeError: {MASK}@example.com refused\n  there.py:1 there"
    assert own["error"] == f"RuntimeError: {MASK}@example.com refused"
    assert "payload" not in own
    assert "trace" not in own


def test_the_list_is_filtered_and_paged_from_the_newest(api, store):
    boss = api("administrator")
    first, dead, third = store(), store(state="DEAD"), store(boss.user)

    assert ids(boss.get("/api/jobs", queue="housekeeping", name=JOB, kind="job")) == [third, dead, first]
    assert ids(boss.get("/api/jobs", state="dead")) == [dead]
    assert ids(boss.get("/api/jobs", mine="true")) == [third]
    assert ids(boss.get("/api/jobs", kind="delivery", name=JOB)) == []
    page = boss.get("/api/jobs", limit=2)
    assert ids(page) == [third, dead]
    assert ids(boss.get("/api/jobs", before=page.json["next_cursor"])) == [first]


@pytest.mark.parametrize("query", [{"state": "lost"}, {"kind": "x"}, {"before": "1"}, {"limit": "0"}, {"what": "1"}])
def test_a_question_that_makes_no_sense_is_refused(api, query):
    assert api("administrator").get("/api/jobs", **query).status_code == 422


def test_progress_and_the_page_of_the_result_are_told(api, store):
    ada = api(grants=OWN)
    uid = store(ada.user, state="LEASED", progress={"done": 3, "total": 9, "text": "rows"})

    told = ada.get(f"/api/jobs/{uid}/progress").json

    assert (told["state"], told["progress"], told["result"]) == (
        "leased",
        {"done": 3, "total": 9, "text": "rows"},
        None,
    )


def test_the_result_of_a_bulk_run_is_its_page(crm_app, unit):
    with crm_app.test_request_context(), unit() as uow:
        run = "01990000-0000-7000-8000-0000000000aa"
        key = services.enqueue(uow, "kernel.bulk_run", {"run": run})
        found = described(uow.session.get(JobRow, key))

    assert found["result"] == f"/bulk-runs/{run}"


def test_an_owner_cancels_and_retries_his_job_and_the_audit_log_says_so(api, store, unit):
    ada = api(grants=OWN)
    uid = store(ada.user)

    cancelled = ada.post(f"/api/jobs/{uid}/cancel")
    again = ada.post(f"/api/jobs/{uid}/cancel")
    retried = ada.post(f"/api/jobs/{uid}/retry")

    assert (cancelled.json["state"], again.status_code, retried.json["state"]) == ("cancelled", 409, "ready")
    with unit() as uow:
        rows = uow.session.execute(sa.select(AuditLog.action, AuditLog.actor).where(AuditLog.record_type == "job"))
        assert rows.all() == [("cancelled", ada.user.name), ("retried", ada.user.name)]


def test_a_token_without_the_permission_follows_its_users_jobs_and_changes_none(api, store, unit):
    limited = api(grants=OWN, scopes=["customer.read"])
    uid = store(limited.user)

    assert ids(limited.get("/api/jobs")) == [uid]
    assert limited.post(f"/api/jobs/{uid}/cancel").status_code == 403


def test_a_change_says_which_state_of_the_job_it_is_about(api, store):
    ada = api(grants=OWN)
    uid = store(ada.user)
    tag = ada.etag(f"/api/jobs/{uid}")
    assert ada.get(f"/api/jobs/{uid}").headers["ETag"] == tag

    assert ada.post(f"/api/jobs/{uid}/cancel", **{"If-Match": tag}).status_code == 200
    assert ada.post(f"/api/jobs/{uid}/retry", **{"If-Match": tag}).status_code == 412


def test_who_may_only_read_is_refused_before_any_state_is_compared(api, store):
    reader = api("reader")
    uid = store()

    for verb in ("retry", "cancel"):
        assert reader.post(f"/api/jobs/{uid}/{verb}", **{"If-Match": '"1"'}).status_code == 403


def test_a_repeated_request_cancels_once(api, store):
    ada = api(grants=OWN)
    uid = store(ada.user)

    answers = [ada.post(f"/api/jobs/{uid}/cancel", **{"Idempotency-Key": "once"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json == answers[1].json


def test_dead_jobs_are_retried_together_by_those_who_may(api, store):
    boss, ada = api("administrator"), api(grants=OWN)
    dead, other = store(state="DEAD"), store(ada.user, state="DEAD")

    assert ada.post("/api/jobs/retry").status_code == 403
    assert boss.post("/api/jobs/retry", {"name": "kernel.nothing"}).json == {"retried": 0}
    assert boss.post("/api/jobs/retry", {"name": JOB}).json == {"retried": 2}
    assert {boss.get(f"/api/jobs/{uid}").json["state"] for uid in (dead, other)} == {"ready"}


def test_listing_jobs_costs_the_same_however_many_there_are(api, store, count_queries):
    boss = api("administrator")
    store()
    boss.get("/api/jobs")
    with count_queries() as few:
        boss.get("/api/jobs")
    for _ in range(10):
        store()
    with count_queries() as many:
        boss.get("/api/jobs")

    assert len(many) == len(few)


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        ({"password": "x", "n": 3}, {"password": MASK, "n": 3}),
        ({"list": [{"Cookie": "x"}, "a@b.example"]}, {"list": [{"Cookie": MASK}, f"{MASK}@b.example"]}),
        ({"secret": ""}, {"secret": ""}),
    ],
)
def test_secrets_of_a_payload_are_hidden_at_any_depth(found, shown):
    assert masked_payload(found) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("call +33 6 12 34 56 78 now", f"call {MASK} now"),
        ("amqp://crm:pw@broker:5672//", f"amqp://crm:{MASK}@broker:5672//"),
        ("amqp://crm:p@ss@broker//, ann", f"amqp://crm:{MASK}@broker//, ann"),
        ("smtp://crm@a:p@ss/w@mail", f"smtp://crm@a:{MASK}@mail"),
        ("at 2026-11-22 08:30:00 file.py:1234", "at 2026-11-22 08:30:00 file.py:1234"),
        ("record 01990000-0000-7000-8000-0000000000ff", "record 01990000-0000-7000-8000-0000000000ff"),
    ],
)
def test_addresses_numbers_and_passwords_are_hidden_in_a_text_and_times_are_not(text, shown):
    assert masked_text(text) == shown
