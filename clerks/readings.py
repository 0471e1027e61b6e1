"""What WeCom answers when asked about a customer, in the words of `clerks.friends`."""

from datetime import datetime

from clerks import corp, friends
from clerks.friends import Listed, Reading
from retail.wecom.errors import Rejected
from retail.wecom.gateway import Gateway

NOBODYS = frozenset({84061, 40096})  # not a customer of anybody the application sees


def read(gateway: Gateway, *, external_userid: str, at: datetime) -> Reading:
    """What WeCom says about a customer now."""
    try:
        told = gateway.contact(external_userid=external_userid)
    except Rejected as error:
        if error.errcode not in NOBODYS:
            raise
        return Reading(at, ())
    person = told.get("external_contact", {})
    listed = tuple(listed_of(one, at=at) for one in told.get("follow_user", []))
    return Reading(at, listed, str(person.get("name", "")), str(person.get("unionid", "")))


def listed_of(told: dict[str, object], *, at: datetime) -> Listed:
    """One relation as WeCom described it at `at`: with whole tags of one customer, with their ids of many."""
    tags = told.get("tag_id") or [tag.get("tag_id") for tag in told.get("tags", [])]  # type: ignore[attr-defined]
    added_at = corp.moment(told.get("createtime"))
    assert added_at is not None
    way = told.get("add_way")
    return Listed(
        str(told["userid"]),
        added_at,
        str(told.get("state") or ""),
        way if isinstance(way, int) else None,
        tuple(sorted(str(tag) for tag in tags if tag)),  # type: ignore[attr-defined]
        friends.by_our_clock(added_at, known_at=at),
    )
