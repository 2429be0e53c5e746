"""An address that is known to be somebody else's, or given up, tells nobody who writes from it."""

from __future__ import annotations

import pytest

from crm_kernel import capture_customer
from crm_kernel.customers.evidence import report_evidence
from crm_kernel.customers.models import ContactPoint
from crm_kernel.customers.values.states import Evidence

ADDRESS = {"contact_points": [{"channel": "email", "value": "lovelace@crm.test"}]}
ADA = {"kind": "person", "given_name": "Ada", "family_name": "Lovelace", **ADDRESS}
BOB = {"kind": "person", "given_name": "Bob", "family_name": "Dupont", **ADDRESS}


@pytest.fixture
def ada(unit, factories):
    """Ada, of whose one address something is told: ``ada(Evidence.RETIRED)``."""

    def known(evidence):
        made = factories.person(**{name: value for name, value in ADA.items() if name != "kind"})
        with unit() as uow:
            point = uow.session.query(ContactPoint).filter_by(customer_id=made.id).one()
            report_evidence(uow, point, evidence, source="user:email")
        return made

    return known


@pytest.mark.parametrize("evidence", [Evidence.WRONG_PERSON_REPORTED, Evidence.RETIRED])
@pytest.mark.parametrize("known", ["keep", "update"])
def test_somebody_elses_message_is_not_put_to_whom_the_address_was(ada, unit, evidence, known):
    her = ada(evidence)

    with unit() as uow:
        captured = capture_customer(uow, BOB, known=known)

        assert (captured.outcome, captured.proposed) == ("created", 0)
        assert captured.customer.uid != her.uid


def test_a_namesake_at_the_address_that_is_not_hers_is_not_surely_she(ada, unit):
    ada(Evidence.WRONG_PERSON_REPORTED)

    with unit() as uow:
        captured = capture_customer(uow, ADA)

        assert (captured.outcome, captured.proposed) == ("created", 1)


@pytest.mark.parametrize("evidence", [Evidence.CONFIRMED, Evidence.HARD_BOUNCED])
def test_who_wrote_from_an_address_before_is_known_by_it(ada, unit, evidence):
    her = ada(evidence)

    with unit() as uow:
        captured = capture_customer(uow, BOB)

        assert (captured.outcome, captured.customer.uid) == ("found", her.uid)


def test_who_writes_from_an_address_given_up_under_the_same_name_is_surely_the_same(ada, unit):
    her = ada(Evidence.RETIRED)

    with unit() as uow:
        captured = capture_customer(uow, ADA)

        assert (captured.outcome, captured.customer.uid) == ("found", her.uid)
