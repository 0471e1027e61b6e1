"""What an API token may do, and by whom that was given.

A new token that reads a single store is one person's to make, and only a few of them. All else takes two: reading
more, posting for a channel, and widening in whatever way what somebody holds the secret of already.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from retail import approvals, audit
from retail.models import ApiToken, Brand, Channel, Franchisee, Region, Staff, Store, User

KIND = "token.read"
MOST_ALONE = 5  # of one person: in use and agreed to by nobody else, or made so within a day


class Reach(NamedTuple):
    """Several places must all hold; none is the whole group. `staff_id`: whose leaving ends it."""

    can_read: bool = False
    brand_id: int | None = None
    region_id: int | None = None
    store_id: int | None = None
    franchisee_id: int | None = None
    channel_id: int | None = None
    staff_id: int | None = None

    @property
    def is_nothing(self) -> bool:
        return not self.can_read and self.channel_id is None


_PLACES = {"brand_id": Brand, "region_id": Region, "store_id": Store, "franchisee_id": Franchisee}

FIELDS = ("can_read", "brand", "region", "store", "franchisee", "channel", "staff")  # of the form and of the row


def of(token: ApiToken) -> Reach:
    return Reach(**{name: getattr(token, name) for name in Reach._fields})


def give(token: ApiToken, reach: Reach) -> None:
    """Put it into the row, which is not saved."""
    for name, value in reach._asdict().items():
        setattr(token, name, value)


def takes_two(*, wanted: Reach, before: Reach | None) -> bool:
    """Whether a second person must agree; `before` is None for a new token.

    Narrowing needs nobody: what is left of a reach is no more than it. Another store is not narrower, else one token
    could wander through all of them.
    """
    if before is None:
        return wanted.channel_id is not None or (wanted.can_read and wanted.store_id is None)
    if wanted.is_nothing:
        return False
    reads_no_more = not wanted.can_read or (
        before.can_read and all(getattr(before, name) in (None, getattr(wanted, name)) for name in _PLACES)
    )
    posts_no_more = wanted.channel_id in (None, before.channel_id)
    ends_as_soon = before.staff_id in (None, wanted.staff_id)
    return not (reads_no_more and posts_no_more and ends_as_soon)


def may_alone(*, by: User, now: datetime) -> bool:
    """Whether this person may make one more token alone. Until commit nobody else counts theirs."""
    with connection.cursor() as cursor:  # the same person in two windows counts one after the other
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('token', %s))", [by.pk])
    made = ApiToken.objects.filter(made_by=by, agreed_by=None, can_read=True)
    return made.filter(Q(revoked_at=None) | Q(created_at__gt=now - timedelta(days=1))).count() < MOST_ALONE


def ask(*, token: ApiToken, wanted: Reach, by: User, now: datetime) -> approvals.Approval:
    """Put it before a second person. Raises approvals.Refused."""
    return approvals.ask(
        kind=KIND,
        target=token,
        payload=wanted._asdict(),
        by=by,
        needs="retail.change_apitoken",
        reason="",
        now=now,
        before={str(token): _words(of(token))},
        after={str(token): _words(wanted)},
    )


@transaction.atomic
def revoke(*, token: ApiToken, by: User, now: datetime) -> None:
    """Switch a token off for good: the database brings no revoked one back."""
    if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
        audit.record(by=by, action="token.revoke", target=token, now=now)
        approvals.lapse(kind=KIND, target=token, why=_("这个令牌已经停用。"), by=by, now=now)


def _words(reach: Reach) -> str:
    said = []
    if reach.can_read:
        said.append(_("可以读：%(places)s") % {"places": _places(reach) or _("整个集团")})
    if reach.channel_id:
        said.append(_("可以推送：%(channel)s") % {"channel": _row(Channel, reach.channel_id)})
    if said and reach.staff_id:
        said.append(_("跟着 %(staff)s 失效") % {"staff": _row(Staff, reach.staff_id)})
    return _("；").join(said) or _("不能读，也不能推送")


def _places(reach: Reach) -> str:
    rows = (_row(model, getattr(reach, name)) for name, model in _PLACES.items())
    return _("、").join(str(row) for row in rows if row is not None)


def _row(model: Any, pk: int | None) -> Any:
    return model._base_manager.filter(pk=pk).first() if pk else None


@approvals.kind(KIND, name=gettext_lazy("令牌的权限"), permission="retail.decide_apitoken")
def _approved(*, target_id: str, payload: dict[str, Any], by: User, now: datetime) -> None:
    token = ApiToken.objects.select_for_update(of=("self",)).get(pk=target_id)
    if token.revoked_at is not None:
        raise approvals.Refused(_("这个令牌已经停用。"))
    before = {str(_("权限")): _words(of(token))}
    give(token, Reach(**payload))
    token.agreed_by = by
    token.save(update_fields=[*Reach._fields, "agreed_by"])
    after = {str(_("权限")): _words(of(token))}
    audit.record(by=by, action=KIND, target=token, now=now, before=before, after=after)
