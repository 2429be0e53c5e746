"""The start page: the kernel's cards, each one query, shown to those who may read what is on them."""

from __future__ import annotations


def test_the_newest_customers_and_interactions_stand_on_the_start_page(login, customer_factory, count_queries):
    customer_factory()
    admin = login("administrator")
    admin.get("/")

    with count_queries() as queries:
        page = admin.get("/")

    assert "New customers" in page.text
    assert page.text.count('href="/customers/') >= 1
    assert len(queries) <= 1 + 2, queries


def test_who_may_read_neither_sees_neither(login, customer_factory):
    customer_factory()

    page = login(grants={"toyrecords.maker.read": "all"}).get("/")

    assert page.status_code == 200
    assert "New customers" not in page.text
