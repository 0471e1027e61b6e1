"""How much an API token may read. One that reads a single store is one person's to give; any other takes two."""

from datetime import datetime
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from retail import approvals, audit
from retail.models import ApiToken, Brand, Franchisee, Region, Store, User

KIND = "token.read"


class Reach(NamedTuple):
    """Several places must all hold; none is the whole group."""

    can_read: bool = False
    brand_id: int | None = None
    region_id: int | None = None
    store_id: int | None = None
    franchisee_id: int | None = None


_PLACES = {"brand_id": Brand, "region_id": Region, "store_id": Store, "franchisee_id": Franchisee}


FIELDS = ("can_read", "brand", "region", "store", "franchisee")  # of the form and of the row


def of(token: ApiToken) -> Reach:
    return Reach(**{name: getattr(token, name) for name in Reach._fields})


def give(token: ApiToken, reach: Reach) -> None:
    """Put it into the row, which is not saved."""
    for name, value in reach._asdict().items():
        setattr(token, name, value)


def takes_two(*, wanted: Reach, before: Reach) -> bool:
    """Whether a second person must agree. Narrowing needs nobody: what is left of a reach reads no more than it."""
    is_narrower = before.can_read and all(getattr(before, name) in (None, getattr(wanted, name)) for name in _PLACES)
    return wanted.can_read and wanted.store_id is None and not is_narrower


def ask(*, token: ApiToken, wanted: Reach, by: User, now: datetime) -> approvals.Approval:
    """Put it before a second person. Raises approvals.Refused."""
    return approvals.ask(
        kind=KIND,
        target=token,
        payload=wanted._asdict(),
        by=by,
        reason="",
        now=now,
        before={str(token): _words(of(token))},
        after={str(token): _words(wanted)},
    )


def _words(reach: Reach) -> str:
    if not reach.can_read:
        return _("不能读")
    rows = (model._base_manager.filter(pk=getattr(reach, name)).first() for name, model in _PLACES.items())
    places = _("、").join(str(row) for row in rows if row is not None)
    return _("可以读：%(places)s") % {"places": places or _("整个集团")}


@approvals.kind(KIND, name=gettext_lazy("令牌读取范围"), permission="retail.decide_apitoken")
def _approved(*, target_id: str, payload: dict[str, Any], by: User, now: datetime) -> None:
    token = ApiToken.objects.select_for_update().get(pk=target_id)
    if token.revoked_at is not None:
        raise approvals.Refused(_("这个令牌已经停用。"))
    before = {str(_("读取范围")): _words(of(token))}
    give(token, Reach(**payload))
    token.save(update_fields=list(Reach._fields))
    after = {str(_("读取范围")): _words(of(token))}
    audit.record(by=by, action=KIND, target=token, now=now, before=before, after=after)
