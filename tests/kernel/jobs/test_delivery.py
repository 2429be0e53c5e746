"""Events reach their subscribers after the commit: once, in order per customer, each on its own."""

from __future__ import annotations

from uuid import UUID

import pytest

from crm_kernel import contributions as c
from crm_kernel.jobs.handlers import MAX_CAUSATION_DEPTH

ADA = UUID("018f0000-0000-7000-8000-00000000ada0")
BOB = UUID("018f0000-0000-7000-8000-000000000b0b")


@pytest.fixture
def seen() -> list[str]:
    """What handlers saw, in order, whether or not their transaction was kept."""
    return []


@pytest.fixture
def broken() -> set[str]:
    """Labels that make the failing subscriber raise."""
    return set()


@pytest.fixture
def alpha(kit, seen, broken):
    """A plugin with one subscriber that leaves an effect, and fails for the labels in ``broken``."""

    def handle(uow, event):
        seen.append(event.label)
        kit.leave_effect(uow, event.label)
        if event.label in broken:
            raise RuntimeError(f"cannot take {event.label}")

    def listener(name, **options):
        return c.Subscriber(name=name, event=kit.Happened, handler=handle, **options)

    return kit.Pieces(events=[kit.Happened], subscribers=[listener("alpha.take", max_attempts=3)])


def test_an_event_is_delivered_after_its_commit_and_only_once(site, alpha):
    site.load(alpha=alpha)
    site.tell("a")
    assert site.effects() == []

    assert site.runner().drain() == 1
    assert site.runner().drain() == 0

    assert site.effects() == ["a"]
    assert site.states() == ["DONE"]


def test_an_event_of_a_unit_that_was_rolled_back_is_never_delivered(site, kit, alpha):
    site.load(alpha=alpha)

    def fail_after_recording(uow):
        uow.record(kit.Happened(label="a"))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        site.call(fail_after_recording)

    assert site.runner().drain() == 0
    assert site.jobs() == []


def test_a_failing_handler_leaves_no_effect_and_is_tried_again(site, alpha, broken):
    site.load(alpha=alpha)
    site.tell("a")
    broken.add("a")
    site.runner().drain()
    assert site.effects() == []
    assert "RuntimeError: cannot take a" in site.jobs()[0].error

    broken.clear()
    site.clock.forward(seconds=5)
    site.runner().drain()

    assert site.effects() == ["a"]
    assert site.jobs()[0].error is None


def test_a_failing_subscriber_neither_stops_nor_repeats_another(site, kit, seen):
    def fail(uow, event):
        raise SystemExit("a handler that ends the process is caught")

    def take(uow, event):
        kit.leave_effect(uow, event.label)

    bad = c.Subscriber(name="alpha.bad", event=kit.Happened, handler=fail, max_attempts=2)
    good = c.Subscriber(name="alpha.good", event=kit.Happened, handler=take)
    site.load(alpha=kit.Pieces(events=[kit.Happened], subscribers=[bad, good]))
    site.tell("a", "b", customer=ADA)

    for _ in range(4):
        site.runner().drain()
        site.clock.forward(hours=1)

    assert site.effects() == ["a", "b"]
    assert site.states() == ["DEAD", "DONE", "DEAD", "DONE"]


def test_one_poison_event_in_a_hundred_keeps_none_of_the_others(site, alpha, broken):
    site.load(alpha=alpha)
    broken.add("42")
    site.tell(*map(str, range(100)))

    site.runner().drain()

    assert len(site.effects()) == 99
    assert site.states().count("DONE") == 99


def test_a_failing_delivery_holds_back_only_the_later_ones_of_its_customer(site, alpha, broken, seen):
    site.load(alpha=alpha)
    broken.add("ada-1")
    site.tell("ada-1", "ada-2", customer=ADA)
    site.tell("bob-1", customer=BOB)
    site.tell("ada-3", customer=ADA)
    site.tell("nobody")

    site.runner().drain()
    assert site.effects() == ["bob-1", "nobody"]

    site.tell("ada-4", customer=ADA)
    broken.clear()
    site.runner().drain()
    assert site.effects() == ["bob-1", "nobody"]
    site.clock.forward(seconds=5)
    site.runner().drain()
    assert site.effects() == ["bob-1", "nobody", "ada-1", "ada-2", "ada-3", "ada-4"]


def test_a_dead_delivery_releases_the_later_ones(site, alpha, broken):
    site.load(alpha=alpha)
    broken.add("1")
    site.tell("1", "2", "3", customer=ADA)

    for _ in range(3):
        site.runner().drain()
        site.clock.forward(minutes=10)

    assert site.states() == ["DEAD", "DONE", "DONE"]
    assert site.effects() == ["2", "3"]


def test_deliveries_about_one_customer_keep_their_order_over_many_claims(site, alpha):
    site.load(alpha=alpha)
    labels = [f"{i}" for i in range(30)]
    for label in labels:
        site.tell(f"ada-{label}", customer=ADA)
        site.tell(f"bob-{label}", customer=BOB)

    site.runner(batch=7).drain()

    assert [e for e in site.effects() if e.startswith("ada")] == [f"ada-{label}" for label in labels]
    assert [e for e in site.effects() if e.startswith("bob")] == [f"bob-{label}" for label in labels]


def test_deliveries_of_a_disabled_module_wait_untouched_and_run_after_enabling(site, kit, alpha):
    beta = kit.Pieces()
    site.load(alpha=alpha, beta=beta)
    site.tell("a", "b", customer=ADA)
    before = [(j.id, j.state, j.attempts, j.run_at) for j in site.jobs()]

    site.load(beta=beta)
    site.clock.forward(days=30)
    assert site.runner().drain() == 0
    assert [(j.id, j.state, j.attempts, j.run_at) for j in site.jobs()] == before

    site.load(alpha=alpha, beta=beta)
    site.runner().drain()
    assert site.effects() == ["a", "b"]


def test_glue_waits_while_its_optional_neighbour_is_disabled(site, kit):
    def take(uow, event):
        kit.leave_effect(uow, event.label)

    glue = c.Subscriber(name="alpha.glue", event=kit.Happened, handler=take, requires=("beta",))
    alpha = kit.Pieces(events=[kit.Happened], subscribers=[glue])
    site.load(alpha=alpha, beta=kit.Pieces())
    site.tell("a")

    site.load(alpha=alpha)
    site.tell("told while beta was off")
    assert site.runner().drain() == 0
    assert site.states() == ["READY"]

    site.load(alpha=alpha, beta=kit.Pieces())
    site.runner().drain()
    assert site.effects() == ["a"]


def test_a_subscriber_that_is_gone_from_a_loaded_module_makes_a_dead_letter_with_its_reason(site, kit, alpha):
    site.load(alpha=alpha)
    site.tell("a")

    site.load(alpha=kit.Pieces(events=[kit.Happened]))
    site.runner().drain()

    job = site.jobs()[0]
    assert site.states() == ["DEAD"]
    assert "module alpha is loaded and has no subscriber 'alpha.take'" in job.error


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 2}, "version 2, newer than version 1"),
        ({"version": 0}, "version 0, older than version 1"),
        ({"payload": {"customer_id": None}}, "label"),
        ({"payload": {"label": "a", "customer_id": 7}}, "field 'customer_id': found int, expected UUID or NoneType"),
        (
            {"name": "alpha.something_else"},
            "delivers alpha.something_else, but alpha.take now listens to alpha.happened",
        ),
    ],
)
def test_an_event_this_code_cannot_read_makes_a_dead_letter_with_its_reason(site, kit, alpha, change, reason):
    site.load(alpha=alpha)
    site.tell("a")
    with site.writing() as uow:
        uow.session.execute(kit.sa.update(kit.StoredEvent).values(**change))

    site.runner().drain()

    assert site.states() == ["DEAD"]
    assert reason in site.jobs()[0].error


def test_events_that_cause_each_other_in_a_loop_end_as_a_dead_letter(site, kit):
    def echo(uow, event):
        kit.leave_effect(uow, event.label)
        uow.record(kit.Happened(label=event.label))

    site.load(
        alpha=kit.Pieces(
            events=[kit.Happened], subscribers=[c.Subscriber(name="alpha.echo", event=kit.Happened, handler=echo)]
        )
    )
    site.tell("a")

    site.runner().drain()

    assert len(site.effects()) == MAX_CAUSATION_DEPTH
    assert site.states()[-1] == "DEAD"
    assert "loop" in site.jobs()[-1].error


def test_a_handler_acts_as_its_subscriber_within_the_request_that_caused_it(site, kit):
    found = []

    def look(uow, event):
        found.append((uow.actor.kind, uow.actor.name, uow.channel, uow.request_id, uow.causation_depth, uow.now))

    site.load(
        alpha=kit.Pieces(
            events=[kit.Happened], subscribers=[c.Subscriber(name="alpha.look", event=kit.Happened, handler=look)]
        )
    )
    with site.writing(request_id="r-1") as uow:
        uow.record(kit.Happened(label="a"))

    site.runner().drain()

    assert found == [("system", "alpha.look", "job", "r-1", 1, site.clock.now)]


def test_any_exception_text_can_be_stored_as_a_dead_letter(site, kit):
    def fail(uow, event):
        raise ValueError("nul \x00 surrogate \ud800 " + "x" * 10_000)

    bad = c.Subscriber(name="alpha.bad", event=kit.Happened, handler=fail, max_attempts=1)
    site.load(alpha=kit.Pieces(events=[kit.Happened], subscribers=[bad]))
    site.tell("a")

    site.runner().drain()

    assert site.states() == ["DEAD"]
    assert len(site.jobs()[0].error) <= 4000
