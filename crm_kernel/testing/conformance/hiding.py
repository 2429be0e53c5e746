"""The rule that what a role hides of a field is hidden on the module's own cards, tiles and pages as well."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from crm_kernel.testing.conformance.rule import Subject, rule

if TYPE_CHECKING:
    from uuid import UUID

    from crm_kernel.testing.planting import Planted

#: What the text that stands in place of a card that raised says of it.
_FAILED_CARD = re.compile(r'data-failed-card="([^"]+)"')


@rule("hidden-fields-kept", "A card that shows a field which a role hides tells it to those it is hidden from.")
def hidden_fields_kept(subject: Subject) -> Iterator[str]:
    """Yield pages that show a value, planted in every field that can be hidden, to a role that sees none of them.

    A page or a card that raises, a page that is refused, and a type that takes no value, would hide what it shows from this
    rule: they are named too.
    """
    from crm_kernel.access.actor import SYSTEM
    from crm_kernel.testing.factories import detached
    from crm_kernel.testing.people import add_user, browser
    from crm_kernel.testing.planting import plant
    from crm_kernel.unit_of_work import writing

    with subject.app.app_context(), writing(SYSTEM) as uow:
        planted = plant(uow)
        user = detached(uow, planted.user)
        other = detached(uow, add_user(uow, name="Conformance sees", grants={"*": "all"}))
    yield from _unplanted(subject, planted)
    # A page may refuse whom hiding leaves nothing of it; it shows somebody from whom nothing is hidden that it is there.
    client, seeing = browser(subject.app, user), browser(subject.app, other)
    for path in _pages(subject, planted.uids):
        answer = client.get(path, follow_redirects=True)
        text = answer.get_data(as_text=True)
        if answer.status_code >= 500:
            yield f"GET {path}: {answer.status_code} to a role from which fields are hidden: they read as None there"
        elif answer.status_code != 200 and seeing.get(path, follow_redirects=True).status_code != 200:
            yield f"GET {path}: {answer.status_code} to who may do everything: what it shows cannot be looked at"
        for name in failed_cards(text):
            yield f"GET {path}: the card {name} raises for a role from which fields are hidden: they read as None there"
        for name in planted.shown_in(text):
            yield f"GET {path}: shows {name} to a role that it is hidden from; ask crm_kernel.hidden_fields"


def failed_cards(page: str) -> list[str]:
    """Return the names of the cards of a page that raised."""
    return _FAILED_CARD.findall(page)


def _unplanted(subject: Subject, planted: Planted) -> Iterator[str]:
    for name in (found.name for found in subject.records["record_types"]):
        if name not in planted.uids or planted.bare(name):
            yield f"{name}: its table takes no record with values that are hidden; see crm_kernel.testing.planting for what is tried"


def _pages(subject: Subject, uids: dict[str, UUID]) -> list[str]:
    """Return the addresses of what the plugin shows: its hosts' pages, the start page, its own pages."""
    types = {found.name: found for found in subject.runtime.registry.all("record_types")}
    hosts = {host for panel in subject.records["panels"] for host in _hosts(panel.host, types)}
    shown = [f"/{types[name].path}/{uid}" for name, uid in uids.items() if name in hosts]
    own = list(_own_pages(subject, {types[name].path: uid for name, uid in uids.items()}))
    return list(dict.fromkeys([*(["/"] if subject.records["dashboard_tiles"] else []), *sorted(shown), *sorted(own)]))


def _hosts(host: str, types: dict[str, object]) -> list[str]:
    return [host] if host != "*" else [name for name, found in types.items() if getattr(found, "annotated", False)]


def _own_pages(subject: Subject, uids: dict[str, UUID]) -> Iterator[str]:
    adapter, parts = subject.app.url_map.bind("localhost"), _parts_of_boards(subject)
    for route in subject.app.url_map.iter_rules():
        owned = subject.owns_endpoint(route.endpoint) and not route.endpoint.endswith(".static")
        if not owned or route.endpoint in parts or "GET" not in (route.methods or ()) or not route.arguments <= {"uid"}:
            continue
        path = route.rule.partition("<")[0].removeprefix("/api").strip("/")
        if "uid" not in route.arguments:
            yield adapter.build(route.endpoint)
        elif path in uids:
            yield adapter.build(route.endpoint, {"uid": uids[path]})


def _parts_of_boards(subject: Subject) -> set[str]:
    """Return the kernel's endpoints that show a part of a board, and ask which; the board's page shows the same cards."""
    boards = (found.endpoint for found in subject.records["record_types"] if found.board is not None)
    return {f"{endpoint}_{part}" for endpoint in boards for part in ("column", "drop")}
