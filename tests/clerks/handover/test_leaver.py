"""A leaver's customers over the real protocol: refusals, a full receiver, the 90-day limit, lost answers."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from clerks.handover import cases, leaving, running
from clerks.handover.planning import Way
from clerks.models import Binding, ChatTransfer, Friend, FriendTransfer, GroupChat, Handover, HandoverRow, Notice
from clerks.outreach import notices
from retail import doctor
from retail.models import Post
from retail.shapes import Buyer
from retail.wecom.models import Call
from retail.wecom.simulator.world import DAY, Transfer
from tests.factories import user
from tests.factories.corp import CHEN, CUSTOMER, LI, WANG, ZHOU, Corp
from tests.figures import figure
from tests.wecom_server import CORP

NAMES = ("refusing", "willing", "unheard", "surplus", "tired")


@pytest.fixture
def customers(wecom_corp: Corp) -> dict[str, str]:
    """Friends of Li's, by what is to become of them; and one who only ever bought at the till."""
    found = {}
    for name in NAMES:
        found[name] = wecom_corp.act("new_customer", name=name)["external_userid"]
        wecom_corp.act("add", userid=LI, external_userid=found[name])
    wecom_corp.act("create_chat", owner=LI, name="老客群", members=[found["willing"]])
    wecom_corp.happen()
    shop = wecom_corp.shop
    phone = (Buyer("phone", "13800005678"),)
    code = wecom_corp.staff(LI).code
    shop.settle(shop.order(serving_clerk=code, buyer=phone, paid_at=timezone.now()), now=timezone.now())
    return found


def states(handover: Handover) -> dict[str, str]:
    rows = HandoverRow.objects.filter(handover=handover).select_related("member")
    return {row.member.name or "till": f"{row.state} {row.why}".strip() for row in rows}


def holders() -> set[str]:
    return {row.staff.accounts.get().userid for row in Binding.objects.active()}


def test_a_leaver_with_everything_that_can_go_wrong(
    wecom_corp: Corp, customers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "LAG", timedelta(0))  # else the test would wait for it
    li, wang, zhou = (wecom_corp.staff(one) for one in (LI, WANG, ZHOU))
    world = wecom_corp.server.simulator.world.corps[CORP]
    world.members[WANG].customer_limit = 2
    lately = wecom_corp.server.simulator.world.clock.now() - DAY
    twice = [Transfer(ZHOU, LI, customers["tired"], lately, status=1) for _ in range(2)]
    world.transfers.extend(twice)

    leaving.dismiss(staff=li, by=user(), now=timezone.now(), reason="辞职")
    (handover,) = Handover.objects.all()
    assert (handover.kind, handover.total, set(states(handover).values())) == ("left", 6, {"open"})
    notice = Notice.objects.get(kind="staff_left")
    assert (notice.staff, notice.about_id, notice.is_todo) == (wecom_corp.staff(CHEN), str(handover.pk), True)

    # WeCom carries out what it is asked, and its answer is lost: it is looked up, and nothing is asked twice.
    wecom_corp.server.control.fault("externalcontact/transfer_customer", kind="cut", is_late=True, times=1)
    cases.start(
        handover=handover,
        choice=cases.Choice(Way.ALL, {wang.pk: None}),
        message="您好，以后由我为您服务。",
        by=None,
        now=timezone.now(),
    )
    wecom_corp.work()
    assert holders() == {WANG}
    assert states(handover) == {
        **dict.fromkeys(NAMES[:4], "waiting"),
        "tired": "ineligible limit",
        "till": "local",
    }
    assert Call.objects.filter(path="externalcontact/transfer_customer", state="sent").count() >= 1
    begun = [one for one in world.transfers if one.handover == LI]
    assert len(begun) == 4 and {one.said for one in begun} == {"您好，以后由我为您服务。"}

    assert ChatTransfer.objects.get().state == "done"
    assert (GroupChat.objects.get().owner, GroupChat.objects.get().staff) == (WANG, wang)

    wecom_corp.act("refuse", external_userid=customers["refusing"])
    wecom_corp.happen()
    wecom_corp.server.control.advance(DAY + 60)
    heard = [xml for xml in wecom_corp.told() if customers["unheard"].encode() not in xml]
    wecom_corp.deliver(*heard)
    wecom_corp.work()
    assert states(handover)["unheard"] == "waiting"  # the callback was lost

    assert running.enqueue_due(now=timezone.now() + timedelta(hours=25)) == 1
    wecom_corp.work()
    assert states(handover) == {
        "refusing": "refused",
        "willing": "done",
        "unheard": "done",
        "surplus": "full",
        "tired": "ineligible limit",
        "till": "local",
    }
    assert Friend.objects.get(userid=WANG, member__name="unheard").state == "friend"

    # Somebody of WeCom's side lets Li go, too: whoever is left goes to Zhou, and need not agree.
    wecom_corp.act("leave", userid=LI)
    wecom_corp.happen()
    for state in ("refused", "full", "ineligible"):
        assert cases.again(handover=handover, state=state, receiver_id=zhou.pk, by=None, now=timezone.now()) == 1
    wecom_corp.work()
    assert set(states(handover).values()) == {"waiting", "done", "local"}
    wecom_corp.server.control.advance(DAY + 60)
    wecom_corp.happen()

    handover.refresh_from_db()
    progress = cases.progress(handovers=[handover])[handover.pk]
    assert (handover.state, progress.over, progress.total, progress.percent) == ("done", 6, 6, 100)
    assert holders() == {WANG, ZHOU}
    assert set(Friend.objects.filter(userid=LI).values_list("state", flat=True)) == {"transferred"}
    assert not [*doctor.INVARIANTS["handovers_account_for_all"](doctor.Look(timezone.now(), None))]
    ledger = FriendTransfer.objects.values_list("state", flat=True)
    assert "asked" not in ledger and "waiting" not in ledger
    figure("A2", f"a leaver's 6 customers over HTTP, {len(ledger)} transfers asked: all accounted for")


def test_whoever_left_is_out_at_once(wecom_corp: Corp, settings: Any) -> None:
    """Said by WeCom: posts, sessions, messages on their way; said once more, nothing happens again."""
    settings.SITE_URL = "https://clerks.test"
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    wecom_corp.happen()
    li = wecom_corp.staff(LI)
    li.user = user()
    li.save()
    epoch = li.user.session_epoch
    now = timezone.now()
    told = notices.tell(staff=li, kind="told", title="明天盘点", effect="stock", now=now)
    assert leaving.leave(staff=li, corp=CORP, by=None, now=now)
    assert told.call is not None
    told.call.refresh_from_db()
    assert told.call.state == "dropped"

    wecom_corp.act("leave", userid=LI)
    wecom_corp.happen()
    li.user.refresh_from_db()
    assert li.user.session_epoch > epoch
    assert not Post.objects.at(timezone.now()).filter(staff=li).exists()
    assert Handover.objects.count() == 1
    assert Notice.objects.filter(kind="staff_left").count() == 1
