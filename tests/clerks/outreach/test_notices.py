"""Notices: a row and a message that opens it; read, done; nobody else's."""

import pytest
from django.test import Client
from django.utils import timezone

from clerks.models import Notice
from clerks.outreach import notices
from retail.models import Staff
from retail.wecom.models import Call
from tests import factories, signing_in
from tests.factories.corp import CHEN, LI, WANG, Corp


def phone(staff: Staff) -> Client:
    staff.user = staff.user or factories.user()
    staff.save()
    return signing_in.signed_in(staff.user, post=staff.posts.get())


def tell(corp: Corp, userid: str = LI, effect: str = "a", **said: object) -> Notice:
    given = {"title": "去看看", "text": "新到了裙子", **said}
    return notices.tell(staff=corp.staff(userid), kind="told", effect=effect, now=timezone.now(), **given)  # type: ignore[arg-type]


def test_the_message_in_the_app_opens_the_notice(wecom_corp: Corp) -> None:
    notice = tell(wecom_corp)
    wecom_corp.work()
    (sent,) = wecom_corp.asked("message/send")
    assert sent["body"]["touser"] == LI
    assert sent["body"]["textcard"]["url"].endswith(f"/m/n/{notice.pk}/")
    client = phone(wecom_corp.staff(LI))
    page = client.get(f"/m/n/{notice.pk}/")
    assert page.status_code == 200 and "新到了裙子" in page.text
    notice.refresh_from_db()
    assert notice.read_at is not None


def test_the_same_effect_tells_once(wecom_corp: Corp) -> None:
    assert tell(wecom_corp) == tell(wecom_corp)
    assert Call.objects.count() == 1


def test_a_to_do_is_done_by_its_button_on_the_phone(wecom_corp: Corp) -> None:
    notice = tell(wecom_corp, is_todo=True)
    client = phone(wecom_corp.staff(LI))
    assert "已处理" in client.get(f"/m/n/{notice.pk}/").text
    assert client.post(f"/m/n/{notice.pk}/done/")["Location"] == "/m/n/"
    assert not Notice.objects.open().exists()


def test_a_to_do_is_done_by_its_button_in_the_app(wecom_corp: Corp) -> None:
    notice = tell(wecom_corp, is_todo=True)
    wecom_corp.work()
    corp = wecom_corp.server.simulator.world.corps[wecom_corp.app.corp_id]
    (note,) = corp.notes
    wecom_corp.act("press_card", userid=LI, msgid=note.msgid, key="done")
    wecom_corp.happen()
    notice.refresh_from_db()
    assert notice.done_at is not None
    assert Call.objects.get(path="message/update_template_card").state == "sent"


def test_only_unread_ones_are_reminded_of_and_not_twice_an_hour(wecom_corp: Corp) -> None:
    read, unread = tell(wecom_corp, effect="a"), tell(wecom_corp, WANG, effect="b")
    notices.read(notice=read, now=timezone.now())
    now = timezone.now()
    both = list(Notice.objects.all())
    assert notices.remind(notices=both, now=now) == 1
    notices.remind(notices=both, now=now)
    assert Call.objects.filter(key__startswith=f"notice:{unread.pk}:").count() == 1


def test_what_is_unread_comes_first(wecom_corp: Corp) -> None:
    old, new = tell(wecom_corp, effect="a", title="旧的"), tell(wecom_corp, effect="b", title="新的")
    notices.read(notice=new, now=timezone.now())
    text = phone(wecom_corp.staff(LI)).get("/m/n/").text
    assert text.index(old.title) < text.index(new.title)


@pytest.mark.parametrize("userid", [WANG, CHEN])
def test_nobody_opens_what_another_was_told(wecom_corp: Corp, userid: str) -> None:
    notice = tell(wecom_corp)
    client = phone(wecom_corp.staff(userid))
    assert client.get(f"/m/n/{notice.pk}/").status_code == 404
    assert client.post(f"/m/n/{notice.pk}/done/").status_code == 404
    assert notice.title not in client.get("/m/n/").text
