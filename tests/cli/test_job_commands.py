"""``crm jobs``: an admin runs, limits, schedules and looks at background work."""

from __future__ import annotations

import json

import pytest


def answer(crm, *arguments):
    """Run a command and return what it prints as JSON."""
    done = crm(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_job_is_put_into_its_queue_done_by_a_worker_and_shown_with_its_progress(crm, instance):
    number = answer(crm, "jobs", "run", "kernel.housekeeping")["id"]
    waiting = {row["name"]: row for row in answer(crm, "jobs", "queues")}
    assert waiting["housekeeping"]["due"] == 1

    assert crm("worker", "--once").exit_code == 0

    shown = answer(crm, "jobs", "show", str(number))
    assert (shown["state"], shown["queue"], shown["progress"]["text"]) == (
        "done",
        "housekeeping",
        "parked 0, jobs 0, events 0",
    )


def test_a_worker_of_another_queue_leaves_the_job_alone(crm, instance):
    number = answer(crm, "jobs", "run", "kernel.housekeeping", "--queue", "later")["id"]

    crm("worker", "--once", "--queue", "housekeeping")

    assert answer(crm, "jobs", "show", str(number))["state"] == "ready"
    assert [row["id"] for row in answer(crm, "jobs", "list", "--queue", "later", "--state", "ready")] == [number]


def test_a_queue_is_limited_and_paused_until_it_is_resumed(crm, instance):
    crm("jobs", "queue", "housekeeping", "--per-minute", "60", "--burst", "5", "--pause")
    number = answer(crm, "jobs", "run", "kernel.housekeeping")["id"]
    crm("worker", "--once")
    assert answer(crm, "jobs", "show", str(number))["state"] == "ready"

    shown = answer(crm, "jobs", "queue", "housekeeping", "--resume")
    crm("worker", "--once")

    assert (shown[0]["paused"], shown[0]["per_minute"], shown[0]["burst"]) == (False, 60, 5)
    assert answer(crm, "jobs", "show", str(number))["state"] == "done"


def test_the_times_of_a_schedule_are_changed_and_the_next_runs_named(crm, instance):
    made = answer(crm, "jobs", "schedule", "add", "kernel.housekeeping", "0 5 * * *", "--timezone", "Asia/Tokyo")[0]

    tried = crm("jobs", "schedule", "set", made["id"], "30 6 * * *", "--dry-run", "--json")
    changed = crm("jobs", "schedule", "set", made["id"], "30 6 * * *", "--json")

    assert tried.output.count("06:30+0900") == 3
    assert '"cron": "30 6 * * *"' in changed.output
    assert answer(crm, "jobs", "schedules", "--job", "kernel.housekeeping")[0]["timezone"] == "Asia/Tokyo"


def test_a_schedule_is_added_paused_resumed_and_removed(crm, instance):
    made = answer(crm, "jobs", "schedule", "add", "kernel.housekeeping", "0 5 * * *", "--timezone", "Asia/Tokyo")[0]
    assert (made["timezone"], made["next_at"][11:16], made["declared"]) == ("Asia/Tokyo", "20:00", False)

    assert answer(crm, "jobs", "schedule", "pause", made["id"])[0]["paused"]
    assert not answer(crm, "jobs", "schedule", "resume", made["id"])[0]["paused"]
    crm("jobs", "schedule", "remove", made["id"])

    assert answer(crm, "jobs", "schedules", "--job", "kernel.housekeeping") == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "kernel.nothing"], "no loaded module registers a job 'kernel.nothing'; known: "),
        (["run", "kernel.housekeeping", "--payload", "[1]"], "expected for example"),
        (["queue", "mail"], "say --per-minute, --pause or --resume"),
        (["schedule", "add", "kernel.housekeeping", "0 0 30 2 *"], "expected minute, hour"),
        (["schedule", "add", "kernel.housekeeping", "0 5 * * *", "--timezone", "Mars"], "'Mars': unknown"),
        (
            ["schedule", "set", "01990000-0000-7000-8000-00000000000a", "0 5 * * *"],
            "List them with: crm jobs schedules",
        ),
        (["schedule", "restore", "01990000-0000-7000-8000-00000000000a"], "List them with: crm jobs schedules"),
        (["schedule", "pause", "01990000-0000-7000-8000-00000000000a"], "List them with: crm jobs schedules"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_is_expected(crm, instance, arguments, words):
    done = crm("jobs", *arguments)

    assert done.exit_code != 0
    assert words in done.stderr
