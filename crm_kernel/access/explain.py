"""Tells why a user may or may not do something, or see a record: the policy's own rules, asked one by one.

The verdict is that of ``policy.allowed`` and ``policy.visible``; what stands here only names the parts of their answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _

from crm_kernel._internal.runtime import runtime_of
from crm_kernel.access.acting import actor_for
from crm_kernel.access.action_schemas import SCOPES
from crm_kernel.access.actor import Actor, Scope, matches
from crm_kernel.access.explain_account import account_steps
from crm_kernel.access.explain_fields import SHOWING, Step, check_field, field_steps
from crm_kernel.access.models import ApiToken, AppUser, Role, RolePermission, Team, UserRole
from crm_kernel.access.policy import allowed, verdicts, visibility_rules, visible, wrote
from crm_kernel.errors import CrmError, Forbidden, InvalidInput, NotFound

if TYPE_CHECKING:
    from crm_kernel.records.record_type import RecordType
    from crm_kernel.unit_of_work import UnitOfWork


#: Rules that refuse by themselves, whatever the policy says.
_MUST_HOLD = frozenset({"user", "second_factor", "token", "field", "limit"})


@dataclass(frozen=True, slots=True)
class Explanation:
    """The policy's verdict and the rules it follows from, in the order in which they are asked."""

    user: str
    permission: str
    record: UUID | None
    allowed: bool
    steps: Sequence[Step]


def explain(
    uow: UnitOfWork,
    user: AppUser,
    permission: str,
    record: UUID | None = None,
    *,
    token: str | None = None,
    field: str | None = None,
) -> Explanation:
    """Explain whether a user may use a permission, on one record or field if given. About ten queries.

    Args:
        record: a record of the permission's type, which whoever asks (``uow.actor``) must see himself.
        token: the prefix of one of the user's API tokens, to explain what the token may.
        field: a field of the permission's type, an extension's as ``bank.risk``: may the user see it (``read``,
            ``export``), or write it (any other verb)?

    Raises:
        InvalidInput: a record or a field is given and the permission is not one of a record type; or it has no such field.
        NotFound: there is no such record or token, or the one who asks does not see the record.
    """
    found_token = None if token is None else _token(uow, user, token)
    actor = _actor(uow, user, found_token)
    record_type = runtime_of(current_app).registry.get("record_types", permission.rpartition(".")[0])
    if field is not None:
        check_field(record_type, permission, field)
    subject = None if record is None else _subject(uow, record_type, permission, record)
    steps = [*account_steps(uow, user, found_token, permission), *_token_steps(uow, found_token, permission)]
    steps += [*_known(permission), *_grant_steps(uow, user, actor, permission)]
    seen = True
    if subject is not None and record_type is not None:
        seen = _sees(uow, actor, record_type, subject)
        steps.append(_reach_step(uow, actor, record_type, permission, subject))
        steps += _visibility_steps(uow, actor, record_type, subject)
    steps += _verdict_steps(actor, permission, subject)
    if subject is not None and record_type is not None:
        steps += _limit_steps(uow, actor, record_type, permission, subject)
    if record_type is not None:
        steps += field_steps(uow, user, actor, record_type, permission, field)
    holds = all(step.answer is not False for step in steps if step.rule in _MUST_HOLD)
    verdict = holds and seen and allowed(actor, permission, subject)
    return Explanation(user.email, permission, record, verdict, steps)


def _actor(uow: UnitOfWork, user: AppUser, token: ApiToken | None) -> Actor:
    if token is None:
        return actor_for(uow, user)
    return replace(actor_for(uow, user, scopes=token.scopes), kind="token", token_id=token.id)


def _token(uow: UnitOfWork, user: AppUser, prefix: str) -> ApiToken:
    query = sa.select(ApiToken).where(ApiToken.prefix == prefix, ApiToken.user_id == user.id)
    found = uow.session.scalar(query)
    if found is None:
        raise NotFound(_("%(user)s has no API token %(prefix)s.", user=user.email, prefix=prefix))
    return found


def _subject(uow: UnitOfWork, record_type: RecordType | None, permission: str, record: UUID) -> Any:
    if record_type is None:
        message = _("%(permission)s is not a permission of a record type: leave the record out.", permission=permission)
        raise InvalidInput({"record": [message]})
    model = record_type.model
    found = uow.session.scalar(sa.select(model).where(model.uid == record, visible(uow.actor, record_type)))
    if found is None:
        raise NotFound(_("There is no %(type)s %(id)s, or you do not see it.", type=record_type.name, id=record))
    return found


def _token_steps(uow: UnitOfWork, token: ApiToken | None, permission: str) -> Iterator[Step]:
    if token is None:
        return
    over = token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= uow.now)
    if over:
        yield Step("token", token.prefix, False, _("The token is revoked or expired."))
    elif token.scopes is None:
        yield Step("token", token.prefix, True, _("The token may do what its user may."))
    else:
        covers = [pattern for pattern in token.scopes if matches(pattern, permission)]
        limits = ", ".join(covers or token.scopes)
        yield Step("token", token.prefix, bool(covers), _("The token is limited to %(limits)s.", limits=limits))


def _known(permission: str) -> Iterator[Step]:
    registry = runtime_of(current_app).registry
    known = {"public", "authenticated", *(listed.name for listed in registry.all("permissions"))}
    for record_type in registry.all("record_types"):
        known |= set(map(record_type.permission, record_type.granted))
    if permission not in known:
        yield Step("permission", permission, None, _("No loaded module declares this permission."))


def _grant_steps(uow: UnitOfWork, user: AppUser, actor: Actor, permission: str) -> Iterator[Step]:
    held = (
        sa.select(Role.name, RolePermission.permission, RolePermission.scope)
        .join(UserRole, UserRole.role_id == Role.id)
        .outerjoin(RolePermission, RolePermission.role_id == Role.id)
        .where(UserRole.user_id == user.id)
        .order_by(Role.name, RolePermission.permission)
    )
    rows = uow.session.execute(held).all()
    covering = [row for row in rows if row.permission is not None and matches(row.permission, permission)]
    for row in covering:
        text = _("Grants %(pattern)s (%(reach)s).", pattern=row.permission, reach=_reach_words(Scope(row.scope)))
        yield Step("grant", row.name, True, text)
    if not covering and permission not in ("public", "authenticated"):
        roles = ", ".join(dict.fromkeys(row.name for row in rows)) or _("none")
        yield Step("grant", roles, False, _("None of the roles grants it."))
    elif covering and actor.token_scopes is None and actor.scope_of(permission) is None:
        text = _(
            "Grants below “All records” do not reach it: its records have no owner, or it is no permission of records."
        )
        yield Step("grant", permission, False, text)


def _reach_step(uow: UnitOfWork, actor: Actor, record_type: RecordType, permission: str, subject: Any) -> Step:
    scope = actor.scope_of(permission)
    reach = _("nothing") if scope is None else scope.name.lower()
    if not hasattr(subject, "owner_id") and record_type.author is None:
        return Step("reach", reach, None, _("The record has no owner."))
    if not hasattr(subject, "owner_id"):
        author = _name(uow, AppUser, getattr(subject, str(record_type.author)))
        text = _("The author is %(author)s. Reach: %(reach)s.", author=author, reach=_reach_of(scope))
        within = scope is Scope.ALL or (scope is not None and wrote(actor, permission, subject) is True)
        return Step("reach", reach, within, text)
    owner = _name(uow, AppUser, subject.owner_id)
    team = _name(uow, Team, subject.team_id)
    teams = uow.session.scalars(sa.select(Team.name).where(Team.id.in_(actor.team_ids)).order_by(Team.name))
    text = _(
        "The owner is %(owner)s, the team %(team)s. Reach: %(reach)s. The user’s teams: %(teams)s.",
        owner=owner,
        team=team,
        reach=_reach_of(scope),
        teams=", ".join(teams) or _("none"),
    )
    own = subject.owner_id is not None and subject.owner_id == actor.user_id
    within = scope is Scope.TEAM and subject.team_id in actor.team_ids
    return Step("reach", reach, scope is Scope.ALL or (scope is not None and (own or within)), text)


def _reach_of(scope: Scope | None) -> str:
    return _("nothing") if scope is None else _reach_words(scope)


def _reach_words(scope: Scope) -> str:
    return str(SCOPES[scope.name.lower()])


def _name(uow: UnitOfWork, model: type[Any], key: int | None) -> str:
    found = None if key is None else uow.session.get(model, key)
    return _("nobody") if found is None else str(found.name)


def _visibility_steps(uow: UnitOfWork, actor: Actor, record_type: RecordType, subject: Any) -> Iterator[Step]:
    def show(predicate: Any) -> tuple[bool | None, str]:
        if predicate is None:
            return None, _("Does not limit who sees it.")
        seen = _is(uow, record_type, subject, predicate)
        return seen, _("Shows the record.") if seen else _("Hides the record.")

    for source, rule in visibility_rules(actor, record_type, "read"):
        yield _asked("visibility", source, rule, show)


def _verdict_steps(actor: Actor, permission: str, subject: Any) -> Iterator[Step]:
    texts = {True: _("Grants it."), False: _("Denies it."), None: _("Has no say.")}
    for plugin, answer in verdicts(actor, permission, subject):
        yield _asked("verdict", plugin, answer, lambda verdict: (verdict, texts[verdict]))


def _limit_steps(
    uow: UnitOfWork, actor: Actor, record_type: RecordType, permission: str, subject: Any
) -> Iterator[Step]:
    """Yield what the services of the type refuse by themselves, asked with the one it is about as the actor."""
    verb = permission.rpartition(".")[2]
    if record_type.limit is None or verb in SHOWING:
        return
    asking, uow.actor = uow.actor, actor
    try:
        record_type.limit(uow, verb, subject)
    except Forbidden as error:
        yield Step("limit", record_type.name, False, str(error))
    except Exception as error:  # what it is asked for fails then, whatever a plugin's limit raised
        yield Step("limit", record_type.name, False, _failed(error))
    else:
        yield Step("limit", record_type.name, True, _("Does not refuse it."))
    finally:
        uow.actor = asking


def _asked(rule: str, source: str, ask: Callable[[], Any], show: Callable[[Any], tuple[bool | None, str]]) -> Step:
    try:
        answer, text = show(ask())
    except Exception as error:  # the policy denies then, whatever a plugin's rule raised
        answer, text = False, _failed(error)
    return Step(rule, source, answer, text)


def _failed(error: Exception) -> str:
    return str(_("Failed, which denies: %(error)s", error=f"{type(error).__name__}: {error}"))


def _sees(uow: UnitOfWork, actor: Actor, record_type: RecordType, subject: Any) -> bool:
    try:
        return _is(uow, record_type, subject, visible(actor, record_type))
    except CrmError:  # the steps name the rule that failed
        return False


def _is(uow: UnitOfWork, record_type: RecordType, subject: Any, predicate: Any) -> bool:
    found = sa.select(record_type.model.id).where(record_type.model.id == subject.id, predicate)
    return uow.session.scalar(found) is not None
