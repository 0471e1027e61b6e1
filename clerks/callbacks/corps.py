"""What a corp holds: group chats, tags, departments, links to acquire customers."""

from datetime import datetime

from django.utils import timezone
from django.utils.translation import gettext as _

from clerks import corp
from clerks.callbacks.heard import Heard, Outcome
from clerks.models import GroupChat, Notice
from clerks.outreach import notices
from retail.wecom.errors import Rejected
from retail.wecom.gateway import Gateway

NO_CHAT = frozenset({49008, 90501, 40050, 86003, 84086})  # a chat that is not there (any more), in several words


# ── Group chats ──────────────────────────────────────────────────────────────────────────────────────────────────────
def chat_changed(heard: Heard) -> Outcome:
    """The chat as it is now. Where the event says which version of the members it left, the reading must have it."""
    chat = read_chat(heard.gateway, corp_id=heard.corp, chat_id=heard.named("ChatId"), at=heard.now)
    if chat is None:
        return Outcome.DOUBT
    version = heard.text("CurMemVer")
    return Outcome.DOUBT if version and chat.member_version != version else Outcome.AGAIN


def chat_dismissed(heard: Heard) -> Outcome:
    corp.dismiss_chat(corp=heard.corp, chat_id=heard.named("ChatId"), at=heard.at)
    return Outcome.DONE


def read_chat(gateway: Gateway, *, corp_id: str, chat_id: str, at: datetime) -> GroupChat | None:
    """Ask for a chat and mirror it; None when WeCom does not know it, or not yet."""
    try:
        told = gateway.groupchat(chat_id=chat_id)
    except Rejected as error:
        if error.errcode not in NO_CHAT:
            raise
        return None
    return corp.mirror_chat(corp=corp_id, chat_id=chat_id, told=told, at=at, now=at)


# ── Tags ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def tag_changed(heard: Heard) -> Outcome:
    """A tag or a group of tags, or, where a shuffle names none, all of them."""
    id, is_group = heard.text("Id"), heard.text("TagType") != "tag"
    try:
        groups = (
            heard.gateway.corp_tags(group_id=[id] if is_group else (), tag_id=() if is_group else [id])
            if id
            else heard.gateway.corp_tags()
        )
    except Rejected as error:
        if error.errcode != NO_TAG:
            raise
        groups = []
    corp.mirror_tags(corp=heard.corp, groups=groups, at=heard.now, asked=[id] if id else None)
    return Outcome.AGAIN if groups else Outcome.DOUBT


NO_TAG = 40068


def tag_deleted(heard: Heard) -> Outcome:
    corp.delete_tags(corp=heard.corp, id=heard.named("Id"), at=heard.at)
    return Outcome.DONE


# ── Departments ──────────────────────────────────────────────────────────────────────────────────────────────────────
def departments_changed(heard: Heard) -> Outcome:
    corp.mirror_departments(corp=heard.corp, told=heard.gateway.list_departments(), at=heard.now)
    return Outcome.AGAIN


# ── Links to acquire customers ───────────────────────────────────────────────────────────────────────────────────────
def acquisition_troubled(heard: Heard) -> Outcome:
    """Headquarters hears of it, once a day."""
    words = {
        "balance_low": _("获客助手的余额快用完了，请及时充值。"),
        "balance_exhausted": _("获客助手的余额用完了，链接已经加不了人。"),
        "link_unavailable": _("一条获客链接不能用了，请到企业微信后台检查。"),
    }
    told = notices.tell_all(
        staff=notices.operators(now=heard.now),
        kind=Notice.Kind.ACQUISITION,
        title=_("获客助手要处理"),
        text=words[heard.change],
        is_todo=True,
        effect=f"acquisition:{heard.change}:{heard.text('LinkId')[:24]}:{timezone.localtime(heard.at):%Y%m%d}",
        now=heard.now,
    )
    return Outcome.DONE if told else Outcome.IGNORED
