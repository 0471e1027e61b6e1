"""What became of the tags we sent to WeCom (clerks.tagging)."""

from datetime import datetime

from django.db import transaction

from clerks import friends, tagging
from clerks.callbacks import contacts
from clerks.models import TagWish
from retail import privacy
from retail.wecom.gateway import Gateway
from retail.wecom.models import Call


def told(*, call_id: int, now: datetime) -> None:
    """A job: WeCom took it, or said no; then it is asked how things are before anything is taken back here."""
    call = Call.objects.select_related("app").get(pk=call_id)
    wish = TagWish._base_manager.filter(call=call, done_at=None).select_related("friend__key").first()
    if wish is None:
        return
    key = wish.friend.key
    if call.state != Call.State.SENT and key.cipher is not None:
        external_userid = privacy.reveal(key)
        reading = contacts.read(Gateway(call.app), external_userid=external_userid, at=now)
        friends.settle(corp=wish.friend.corp, external_userid=external_userid, reading=reading, now=now)
    with transaction.atomic():
        friends.alone(key.pk)
        tagging.settle(call=call, now=now)
