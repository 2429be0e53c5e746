"""Says in sentences what a replay found: what an administrator asks is what the rule would have done, not seven counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_babel import format_date, ngettext
from flask_babel import gettext as _

from crm_kernel.records.pages.conditions import condition_text
from crm_kernel.records.pages.presenting import plain_text
from crm_kernel.rules.wording import said_uses

if TYPE_CHECKING:
    from crm_kernel.rules.models import Rule
    from crm_kernel.rules.replaying import Replay
    from crm_kernel.unit_of_work import UnitOfWork


def told_replay(uow: UnitOfWork, rule: Rule, found: Replay) -> list[str]:
    """Return the sentences: how often it would have run, what it would have done each time, and what is left out."""
    return [text for text in _sentences(uow, rule, found) if text]


def _sentences(uow: UnitOfWork, rule: Rule, found: Replay) -> tuple[str, ...]:
    return _often(found), _more(found), _each_time(uow, rule, found), *_left_out(uow, rule, found)


def _often(found: Replay) -> str:
    since = format_date(found.since, "long")
    if not found.events:
        return str(_("Nothing has happened since %(day)s that it follows: it would have run not once.", day=since))
    times = ngettext("%(num)s time", "%(num)s times", found.left)
    events = ngettext("%(num)s event", "%(num)s events", found.events)
    text = _("Since %(day)s it would have run %(times)s, out of %(events)s.", day=since, times=times, events=events)
    if not found.already_done:
        return str(text)
    done = ngettext(
        "For %(num)s event it has run already.", "For %(num)s events it has run already.", found.already_done
    )
    return f"{text} {done}"


def _more(found: Replay) -> str:
    if not found.truncated or found.first_at is None:
        return ""
    number, day = plain_text(found.events), format_date(found.first_at, "long")
    return str(
        _(
            "There are more: only the latest %(count)s events, since %(day)s, were looked at, and only for these it can "
            "be done here. The command takes all.",
            count=number,
            day=day,
        )
    )


def _each_time(uow: UnitOfWork, rule: Rule, found: Replay) -> str:
    if not found.left:
        return ""
    if not rule.actions:
        return str(_("It would have done nothing: it has no action yet."))
    return str(_("Each time: %(actions)s.", actions="; ".join(said_uses(uow, rule))))


def _left_out(uow: UnitOfWork, rule: Rule, found: Replay) -> list[str]:
    """Return why the other records would have been left alone."""
    texts = []
    if found.not_fitting:
        condition = condition_text(uow, rule.record_type, rule.condition)
        number = plain_text(found.not_fitting)
        texts.append(_("Records left alone, because this does not hold today: %(number)s. (%(condition)s)",
                       number=number, condition=condition))  # fmt: skip
    if found.gone:
        texts.append(_("Records that are gone, or that it does not see: %(number)s.", number=plain_text(found.gone)))
    texts.append(
        _("Asked as %(name)s of the records as they are today: what they were then is not kept.", name=found.as_)
    )
    return [str(text) for text in texts] if found.events else []
