"""What became of the tags we sent to WeCom (clerks.tagging)."""

from datetime import datetime

from django.db import transaction

from clerks import friends, readings, tagging
from clerks.models import Friend, TagWish
from retail import privacy
from retail.wecom.gateway import Gateway
from retail.wecom.models import Call, apps_of


def told(*, call_id: int, now: datetime) -> None:
    """A job: WeCom took it, or said no; then it is asked how things are before anything is taken back here."""
    call = Call.objects.select_related("app").get(pk=call_id)
    wish = TagWish._base_manager.filter(call=call, done_at=None).select_related("friend").first()
    if wish is None:
        return
    if call.state != Call.State.SENT:
        _look(wish.friend_id, now)
    with transaction.atomic():
        friends.alone(wish.friend.key_id)
        tagging.settle(call=call, now=now)


def look(*, friend_id: int, wish_id: int, now: datetime) -> None:
    """A job, half a minute after a wish was done that a reading contradicted: now WeCom has the last word."""
    tagging.trust(friend_id=friend_id, wish_id=wish_id)
    _look(friend_id, now)


def _look(friend_id: int, now: datetime) -> None:
    friend = Friend._base_manager.select_related("key").get(pk=friend_id)
    app = apps_of(corp=friend.corp).first()
    if app is None or friend.key.cipher is None:
        return
    external_userid = privacy.reveal(friend.key)
    reading = readings.read(Gateway(app), external_userid=external_userid, at=now)
    friends.settle(corp=friend.corp, external_userid=external_userid, reading=reading, now=now)
