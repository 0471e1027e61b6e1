"""Notices: a row and a message that opens it; read, done; nobody else's."""

from urllib.parse import urlsplit

import pytest
from django.test import Client
from django.utils import timezone

from clerks.models import ContactWay, Notice, SyncRun, Welcome
from clerks.outreach import codes, notices
from retail.models import Staff
from retail.wecom.models import Call
from tests import factories, signing_in
from tests.factories.corp import CHEN, CUSTOMER, LI, WANG, Corp


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
    path = urlsplit(sent["body"]["textcard"]["url"]).path
    client = phone(wecom_corp.staff(LI))
    page = client.get(path, follow=True)
    assert page.redirect_chain == [(f"/m/n/{notice.pk}/", 302)]  # it is about nothing else
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


# ── To the thing itself ──────────────────────────────────────────────────────────────────────────────────────────────
def test_the_card_about_a_customer_opens_that_customer(wecom_corp: Corp) -> None:
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    wecom_corp.happen()
    friend = wecom_corp.friend()
    notice = tell(wecom_corp, friend=friend, is_todo=True)
    wecom_corp.work()
    sent = wecom_corp.asked("message/send")[-1]["body"]["template_card"]
    client = phone(wecom_corp.staff(LI))

    page = client.get(urlsplit(sent["card_action"]["url"]).path, follow=True)

    assert page.redirect_chain == [(f"/m/customers/{friend.member_id}/?notice={notice.pk}", 302)]
    assert "小鹿" in page.text and notice.title in page.text and "已处理" in page.text
    notice.refresh_from_db()
    assert notice.read_at is not None
    assert client.post(f"/m/n/{notice.pk}/done/").status_code == 302


def test_a_customer_one_may_not_see_stays_closed(wecom_corp: Corp) -> None:
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    wecom_corp.happen()
    notice = tell(wecom_corp, WANG, friend=wecom_corp.friend())
    client = phone(wecom_corp.staff(WANG))
    assert client.get(f"/m/n/{notice.pk}/open/")["Location"] == f"/m/n/{notice.pk}/"
    assert "打开这位顾客" not in client.get(f"/m/n/{notice.pk}/").text
    assert client.get(f"/m/customers/{wecom_corp.friend().member_id}/?notice={notice.pk}").status_code == 404


def test_a_missed_welcome_opens_the_new_customer(wecom_corp: Corp) -> None:
    Welcome.objects.create(name="a", brand=wecom_corp.shop.brand, text="您好")
    wecom_corp.server.control.fault("externalcontact/send_welcome_msg", kind="errcode", code=41050, times=1)
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    wecom_corp.happen()
    notice = Notice.objects.get(kind="welcome_missed")
    answer = phone(wecom_corp.staff(LI)).get(f"/m/n/{notice.pk}/open/")
    assert answer["Location"].startswith(f"/m/customers/{wecom_corp.friend().member_id}/")


@pytest.mark.parametrize("role", ["region_manager", "hq_ops", "hq_finance", "auditor"])
def test_who_has_no_store_opens_what_they_were_told(wecom_corp: Corp, role: str) -> None:
    place = {"region": wecom_corp.shop.region} if role == "region_manager" else {}
    person = wecom_corp.shop.hire(role, role=role, **place)
    run = SyncRun.objects.create(corp=wecom_corp.app.corp_id, started_at=timezone.now(), state="stopped", seen=77)
    notice = notices.tell(
        staff=person, kind="sync_stopped", title="已刹车", effect="x", now=timezone.now(), about=run, is_todo=True
    )
    client = phone(person)
    page = client.get(f"/m/n/{notice.pk}/open/", follow=True)
    assert page.status_code == 200 and "77" in page.text and 'aria-label="页面"' not in page.text
    assert notice.title in client.get("/m/n/").text
    assert client.post(f"/m/n/{notice.pk}/done/").status_code == 302
    assert client.get("/m/customers/").status_code == 403


def test_a_notice_about_a_code_shows_the_code_as_it_is(wecom_corp: Corp) -> None:
    way = ContactWay(name="门口", kind="store", brand=wecom_corp.shop.brand, store=wecom_corp.shop.store)
    codes.save(way=way, by=None, now=timezone.now())
    wecom_corp.work()
    notice = Notice.objects.get(kind="code_trouble")
    text = phone(wecom_corp.staff(CHEN)).get(f"/m/n/{notice.pk}/open/", follow=True).text
    assert "门口" in text and "还没有人接" in text
