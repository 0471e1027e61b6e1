"""What a corp holds in WeCom, mirrored from readings: group chats, tags, departments.

A reading never overwrites a newer one. A chat that was dismissed and a tag that was deleted by an event stay so: WeCom
gives their ids to nobody else. What only was not listed is gone as long as it is not: one empty answer ends nothing
for good, and where it would end too much (`is_too_much`) it is not believed.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q

from clerks import friends, tagging
from clerks.models import CorpTag, Department, GroupChat, GroupChatMember
from retail import org, privacy
from retail.models import Staff

Answer = dict[str, Any]
CUSTOMER = 2  # WeCom's type of a member of a chat


def moment(seconds: Any) -> datetime | None:
    """A time as WeCom says it, by its own clock. Raises ValueError for no number."""
    text = str(seconds or "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 11):
        raise ValueError(repr(seconds)[:40])
    return datetime.fromtimestamp(int(text), UTC)


class Mirrored(NamedTuple):
    """What a list showed: how many were new or otherwise, how many gone, how many were too many to believe it."""

    changed: int = 0
    gone: int = 0
    refused: int = 0


def is_too_much(count: int, *, of: int) -> bool:
    """The brake: whether so many of so many may not vanish at once."""
    ppm, number = settings.WECOM_SYNC_BRAKE
    return count > number and count * 1_000_000 > of * ppm


def _alone(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [name])


# ── Group chats ──────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def mirror_chat(*, corp: str, chat_id: str, told: Answer, at: datetime, now: datetime) -> GroupChat:
    """Write what WeCom answered about a chat, asked at `at`."""
    _alone(f"chat {corp} {chat_id}")
    chat = GroupChat._base_manager.get_or_create(corp=corp, chat_id=chat_id)[0]
    if chat.read_at is not None and chat.read_at > at:
        return chat
    chat.name, chat.owner = str(told.get("name", ""))[:128], told.get("owner", "")
    chat.has_notice, chat.started_at = bool(told.get("notice")), moment(told.get("create_time"))
    chat.dismissed_at = None if chat.is_unlisted else chat.dismissed_at
    chat.member_version, chat.read_at = told.get("member_version", ""), at
    chat.staff = org.staff_of_account(corp=corp, userid=chat.owner)
    if chat.staff is not None:
        held = org.roster(since=now, until=now, staff_ids=[chat.staff.pk]).person(at=now, staff_id=chat.staff.pk)
        chat.store_id = held.store_id if held else chat.store_id
    chat.save()
    _mirror_members(chat, told.get("member_list", []))
    return chat


def _mirror_members(chat: GroupChat, told: Sequence[Answer]) -> None:
    customers = {one["userid"] for one in told if one.get("type") == CUSTOMER}
    known = {userid: friends.key_of(corp=chat.corp, external_userid=userid) for userid in customers}
    keys = privacy.keep(known.values())
    wanted = {}
    for one in told:
        key_id = keys[known[one["userid"]]] if one["userid"] in known else None
        userid = "" if key_id else one["userid"]
        wanted[userid, key_id] = (moment(one.get("join_time")), one.get("join_scene"))
    held = {(row.userid, row.key_id): row for row in GroupChatMember._base_manager.filter(chat=chat)}
    gone = [row.pk for place, row in held.items() if place not in wanted]
    GroupChatMember._base_manager.filter(pk__in=gone).delete()
    for (userid, key_id), (joined_at, scene) in wanted.items():
        row = held.get((userid, key_id)) or GroupChatMember(chat=chat, userid=userid, key_id=key_id)
        if row.pk is None or (row.joined_at, row.join_scene) != (joined_at, scene):
            row.joined_at, row.join_scene = joined_at, scene
            row.save()


@transaction.atomic
def give_chat(*, chat: GroupChat, owner: str, staff: Staff, now: datetime) -> None:
    """We had WeCom give the chat to another owner, which it tells nobody."""
    _alone(f"chat {chat.corp} {chat.chat_id}")
    held = org.roster(since=now, until=now, staff_ids=[staff.pk]).person(at=now, staff_id=staff.pk)
    chat.owner, chat.staff = owner, staff
    chat.store_id = held.store_id if held else chat.store_id
    chat.save(update_fields=["owner", "staff", "store"])


@transaction.atomic
def dismiss_chat(*, corp: str, chat_id: str, at: datetime) -> GroupChat:
    """The chat is over, with everybody in it. The first time that was told counts."""
    _alone(f"chat {corp} {chat_id}")
    chat = GroupChat._base_manager.get_or_create(corp=corp, chat_id=chat_id)[0]
    chat.dismissed_at = at if chat.is_unlisted else min(chat.dismissed_at or at, at)
    chat.save(update_fields=["dismissed_at"])
    return chat


@transaction.atomic
def unlist_chat(*, corp: str, chat_id: str, at: datetime) -> None:
    """WeCom, asked at `at`, does not know the chat (any more): over, until it is listed again."""
    _alone(f"chat {corp} {chat_id}")
    known = GroupChat._base_manager.filter(Q(read_at=None) | Q(read_at__lte=at), corp=corp, chat_id=chat_id)
    known.filter(dismissed_at=None).update(dismissed_at=at, read_at=at)


# ── Tags ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def mirror_tags(
    *,
    corp: str,
    groups: Sequence[Answer],
    at: datetime,
    asked: Sequence[str] | None = None,
    has_brake: bool = True,
) -> Mirrored:
    """Write the groups WeCom answered with.

    `asked`: the ids of tags or groups that were asked for, None = all there are. What is not in the answer is gone,
    unless that were too much of all there is.
    """
    _alone(f"tags {corp}")
    rows = CorpTag._base_manager.filter(corp=corp)
    if asked is not None:
        ids = {tag["id"] for group in groups for tag in group.get("tag", [])}
        rows = rows.filter(Q(tag_id__in={*asked, *ids}) | Q(group_id__in=asked))
    held = {row.tag_id: row for row in rows}
    listed: dict[str, tuple[str, str, str, int]] = {
        tag["id"]: (tag["name"][:64], group["group_id"], group.get("group_name", "")[:64], int(tag.get("order", 0)))
        for group in groups
        for tag in group.get("tag", [])
        if not tag.get("deleted") and not group.get("deleted")
    }
    other = sum(_mirror_tag(corp, tag_id, held.get(tag_id), said, at) for tag_id, said in listed.items())
    unlisted = [row for tag_id, row in held.items() if tag_id not in listed and not row.deleted_at]
    gone = [row for row in unlisted if _is_older(row, at - friends.LAG)]
    is_refused = (
        has_brake and asked is None and is_too_much(len(gone), of=sum(not row.deleted_at for row in held.values()))
    )
    for row in () if is_refused else gone:
        row.deleted_at, row.read_at = at, at
        row.save(update_fields=["deleted_at", "read_at"])
    tagging.mirror(corp=corp, now=at)
    return Mirrored(other, refused=len(gone)) if is_refused else Mirrored(other, len(gone))


def _is_older(row: Any, at: datetime) -> bool:
    return row.read_at is None or row.read_at <= at


def _mirror_tag(corp: str, tag_id: str, row: CorpTag | None, said: tuple[str, str, str, int], at: datetime) -> bool:
    row = row or CorpTag(corp=corp, tag_id=tag_id)
    if (row.deleted_at is not None and not row.is_unlisted) or not _is_older(row, at):
        return False
    before = (row.name, row.group_id, row.group_name, row.place, row.deleted_at)
    row.name, row.group_id, row.group_name, row.place = said
    row.read_at, row.deleted_at = at, None
    row.save()
    return before != (*said, None)


@transaction.atomic
def delete_tags(*, corp: str, id: str, at: datetime) -> int:
    """A tag, or all of a group, is gone for good. How many we had held."""
    _alone(f"tags {corp}")
    known = CorpTag._base_manager.filter(Q(tag_id=id) | Q(group_id=id), corp=corp)
    count = known.filter(Q(deleted_at=None) | Q(deleted_at=F("read_at"))).update(deleted_at=at)
    tagging.mirror(corp=corp, now=at)
    return count


# ── Departments ──────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def mirror_departments(*, corp: str, told: Sequence[Answer], at: datetime, has_brake: bool = True) -> Mirrored:
    """Write the departments WeCom answered with, all there are."""
    _alone(f"departments {corp}")
    held = {row.number: row for row in Department.objects.filter(corp=corp)}
    if any(not _is_older(row, at) for row in held.values()):
        return Mirrored()
    wanted = {int(one["id"]): (str(one.get("name", ""))[:128], one.get("parentid")) for one in told}
    gone = held.keys() - wanted.keys()
    is_refused = has_brake and is_too_much(len(gone), of=len(held))
    if not is_refused:
        Department.objects.filter(corp=corp, number__in=gone).delete()
    other = 0
    for number, (name, parent) in wanted.items():
        row = held.get(number) or Department(corp=corp, number=number)
        other += (row.name, row.parent) != (name, parent)
        row.name, row.parent, row.read_at = name, parent, at
        row.save()
    return Mirrored(other, refused=len(gone)) if is_refused else Mirrored(other, len(gone))
