"""Weights taught from outside, and the training by Splink where the extra is installed."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from dataclasses import replace

import pytest

from crm_kernel.customers.duplicates import matcher, scanning, splink_training
from crm_kernel.customers.duplicates.comparing import COMPARISONS
from crm_kernel.customers.duplicates.files import match_files, profiles_in
from crm_kernel.customers.duplicates.loading import (
    forget_teaching,
    is_taught,
    sample_profiles,
    save_state,
    stored_state,
    teach,
    weights_in,
)
from crm_kernel.customers.duplicates.profiles import Profile
from crm_kernel.customers.duplicates.queries import similar_customers
from crm_kernel.customers.duplicates.weights import default_weights

FEBRL = {
    "given_name": "given_name", "surname": "family_name", "date_of_birth": "birth_date", "address_1": "street",
    "suburb": "city", "postcode": "postal_code", "state": "region", "street_number": "street", "address_2": "street",
    "soc_sec_id": "identifiers.external",
}  # fmt: skip


@pytest.fixture
def scan(uow):
    """Run the scan to its end."""

    def run():
        point = {}
        while point is not None:
            point = scanning.scan(uow, {"checkpoint": point})

    return run


def test_taught_weights_are_read_and_the_scan_leaves_them_alone(uow, person, scan, monkeypatch):
    monkeypatch.setattr(scanning, "_ENOUGH", 1)
    for _twice in range(2):
        person(birth_date="1915-12-10")
    taught = default_weights(1_000).with_prior(0.125)

    teach(uow, taught, by="splink")
    scan()

    state = json.loads(json.dumps(stored_state(uow)))
    assert is_taught(state)
    assert weights_in(state, 2) == taught


def test_a_scan_of_everything_keeps_them_too(uow, scan):
    teach(uow, default_weights(1_000).with_prior(0.125), by="splink")
    save_state(uow, {**stored_state(uow), "format": scanning.FORMAT - 1})

    scan()

    assert weights_in(stored_state(uow), 2).prior == 0.125


def test_forgotten_the_scan_learns_by_itself_again(uow, person, scan, monkeypatch):
    monkeypatch.setattr(scanning, "_ENOUGH", 1)
    for _twice in range(2):
        person(birth_date="1915-12-10")
    teach(uow, default_weights(1_000), by="splink")

    assert forget_teaching(uow)
    assert not forget_teaching(uow)
    scan()

    assert "weights" in stored_state(uow)
    assert not is_taught(stored_state(uow))


def test_the_form_compares_with_them(uow, person):
    person()
    payload = {"kind": "person", "given_name": "Ada", "family_name": "Lovelace"}
    before = similar_customers(uow, payload)[0].probability
    usual = default_weights(1_000)

    teach(uow, replace(usual, m=usual.u), by="splink")

    assert before > 0.5
    assert similar_customers(uow, payload) == []


def test_training_learns_from_what_the_scan_has_seen(uow, person, scan):
    people = [person(given_name=name) for name in ("Ada", "Grace", "Alan")]
    scan()

    found = sample_profiles(uow, 2)

    assert sorted(profile.given for profile in found) == ["alan", "grace"]
    assert len(sample_profiles(uow, 10)) == len(people)


def test_without_the_extra_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "splink", None)

    with pytest.raises(splink_training.SplinkMissing, match=r"crm-kernel\[splink\]"):
        splink_training.train([Profile()])


@pytest.fixture
def splink():
    """Skip where the extra is not installed."""
    for name in ("splink", "duckdb", "numpy"):
        pytest.importorskip(name, reason="the extra crm-kernel[splink] is not installed")


def test_too_few_customers_teach_nothing(splink):
    with pytest.raises(splink_training.NothingToLearn, match="usual weights"):
        splink_training.train([Profile(given="ada", family="lovelace", birth="18151210")] * 3)


def test_splinks_weights_match_as_well_as_our_own(splink, shared_data, monkeypatch):
    path = shared_data("febrl/febrl2.csv.gz")
    with gzip.open(shared_data("febrl/febrl2_links.csv.gz"), "rt", encoding="utf-8") as file:
        true = {frozenset(row.values()) for row in csv.DictReader(file)}

    learnt = splink_training.train(profiles_in(path, columns=FEBRL))
    monkeypatch.setattr(matcher, "learn", lambda *_all: learnt)
    found = {frozenset((pair.a, pair.b)) for pair in match_files([path], key="rec_id", columns=FEBRL)}

    assert [len(shares) for shares in learnt.m] == [len(comparison.levels) for comparison in COMPARISONS]
    assert [sum(shares) for shares in (*learnt.m, *learnt.u)] == pytest.approx([1.0] * 2 * len(COMPARISONS))
    assert 1e-5 < learnt.prior < 1e-3  # 1,934 pairs of 12.5 million
    assert 2 * len(found & true) / (len(found) + len(true)) >= 0.95
