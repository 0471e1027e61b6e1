"""The way out: tokens fetched once, errors that say what to do, nothing secret in anything that is said."""

import logging
import threading
import time
import traceback
from contextlib import suppress
from datetime import timedelta
from email import message_from_bytes

import pytest
from django.db import connection, transaction
from django.utils import timezone

from retail import jobs
from retail.wecom import credentials, gateway, keys, limits
from retail.wecom.errors import Busy, Limited, Misconfigured, Paused, Rejected, Unreachable, Waiting, WeComError
from retail.wecom.gateway import Gateway
from retail.wecom.models import Credential, Use, Valve
from tests.factories import wecom
from tests.retail.wecom.standin import error

FOLLOW = "externalcontact/get_follow_user_list"


@pytest.fixture(autouse=True)
def _no_breath(monkeypatch):
    monkeypatch.setattr(gateway, "BREATH", 0)


# ── Tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_token_is_fetched_once_and_shared(asked, standin):
    standin.answers[FOLLOW] = {"follow_user": ["zhang", "li"]}
    assert asked.follow_users() == ["zhang", "li"]
    assert Gateway(asked.app).follow_users() == ["zhang", "li"]
    assert standin.count("gettoken") == 1


def test_a_token_is_fetched_again_before_it_expires(asked, standin, later):
    asked.follow_users()
    later(timedelta(seconds=7200) - credentials.MARGIN)
    asked.follow_users()
    assert standin.count("gettoken") == 2


@pytest.mark.parametrize("errcode", [40014, 42001])
def test_a_dead_token_is_replaced_once(asked, standin, errcode):
    """Both codes occur for a token that was revoked before its time."""
    standin.answers[FOLLOW] = [error(errcode), {"follow_user": ["zhang"]}]
    assert asked.follow_users() == ["zhang"]
    assert standin.count("gettoken") == 2


def test_a_token_that_is_never_good_ends_the_matter(asked, standin):
    """wechatpy left to itself asks until the stack is full."""
    standin.are_tokens_refused = True
    with pytest.raises(Misconfigured, match="40014"):
        asked.follow_users()
    assert (standin.count("gettoken"), standin.count(FOLLOW)) == (2, 2)


def test_a_wrong_secret_is_not_tried_again_and_again(asked, standin, later):
    standin.answers["gettoken"] = error(40001, "invalid credential")
    with pytest.raises(Misconfigured):
        asked.follow_users()
    for _call in range(5):
        with pytest.raises(Limited):
            asked.follow_users()
    assert standin.count("gettoken") == 1
    later(timedelta(minutes=1, seconds=1))
    del standin.answers["gettoken"]
    asked.follow_users()


@pytest.mark.django_db(transaction=True)
def test_of_many_who_find_no_token_one_fetches_it(standin):
    """A cold start, then a revoked token: one request each, however many ask at the same time."""
    standin.pause = 0.05
    app = wecom.app()
    _together(8, lambda: Gateway(app).follow_users())
    assert (standin.count("gettoken"), standin.count(FOLLOW)) == (1, 8)
    standin.revoke()
    _together(8, lambda: Gateway(app).follow_users())
    assert standin.count("gettoken") == 2


@pytest.mark.django_db(transaction=True)
def test_of_many_who_find_no_token_one_learns_that_wecom_is_down(standin, settings):
    """They wait for the one who asks; what it learns is not asked again by each of them in turn."""
    standin.trouble["gettoken"], standin.pause = "drop", 0.3
    app, heard = wecom.app(), []

    def ask() -> None:
        try:
            Gateway(app).follow_users()
        except Waiting as error:
            heard.append(error)

    _together(6, ask)
    assert (len(heard), standin.count("gettoken")) == (6, 1)


@pytest.mark.django_db(transaction=True)
def test_who_has_little_time_does_not_wait_for_somebody_elses_token(standin):
    standin.pause = 1.5
    app, took = wecom.app(), []

    def ask(within: timedelta | None) -> None:
        began = time.monotonic()
        with suppress(Waiting):
            Gateway(app, within=within).follow_users()
        took.append(time.monotonic() - began)

    slow = threading.Thread(target=_apart, args=[lambda: ask(None)])
    slow.start()
    time.sleep(0.4)
    ask(timedelta(seconds=0.4))
    slow.join()
    assert took[0] < 0.8


@pytest.mark.django_db(transaction=True)
def test_no_more_calls_are_under_way_than_may_be(standin):
    app = wecom.app()
    Gateway(app).follow_users()
    standin.pause, standin.most_under_way = 0.1, 0
    busy = []

    def mark() -> None:
        try:
            Gateway(app).mark_tag(userid="zhang", external_userid="wm", add=["t"])
        except Busy:
            busy.append(1)

    _together(12, mark)
    assert standin.most_under_way == 4
    assert standin.count("externalcontact/mark_tag") + len(busy) == 12


def _apart(do):
    try:
        do()
    finally:
        gateway.hang_up()
        connection.close()


def _together(count, do):
    threads = [threading.Thread(target=_apart, args=[do]) for _thread in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_tickets_belong_to_one_application(standin, db):
    """wechatpy keeps them by corp: the second agent then shows pages signed for the first."""
    first, second = wecom.app(), None
    second = wecom.app(corp_id=first.corp_id)
    standin.answers["ticket/get"] = lambda asked: {"ticket": f"for {asked.query['access_token']}", "expires_in": 7200}
    standin.answers["get_jsapi_ticket"] = {"ticket": "corp", "expires_in": 7200}
    tickets = {Gateway(app).agent_ticket() for app in (first, second, first)}
    assert len(tickets) == 2 and standin.count("ticket/get") == 2
    assert Gateway(first).js_ticket() == "corp"


def test_a_new_secret_ends_the_token(asked, standin):
    asked.follow_users()
    app = keys.rotate(app=asked.app, secret="another", by=None, now=timezone.now())
    Gateway(app).follow_users()
    assert [one.query["corpsecret"] for one in standin.log if one.path == "gettoken"][-1] == "another"


# ── Errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("errcode", "kind", "asked_times"),
    [
        *((errcode, Busy, 3) for errcode in (-1, 6000, 45033, 41063, 41079, 41096)),
        (45009, Limited, 1),
        *((errcode, Misconfigured, 1) for errcode in (40001, 40013, 40091, 48002, 60011, 60020, 301002)),
        *((errcode, Rejected, 1) for errcode in (84061, 41050, 41051, 40096, 40029, 81013, 90501)),
    ],
)
def test_an_errcode_says_what_to_do(asked, standin, errcode, kind, asked_times):
    standin.answers[FOLLOW] = error(errcode, "some words")
    with pytest.raises(kind) as raised:
        asked.follow_users()
    assert (raised.value.errcode, raised.value.errmsg, raised.value.path) == (errcode, "some words", FOLLOW)
    assert standin.count(FOLLOW) == asked_times
    assert isinstance(raised.value, jobs.Later) == (kind in (Busy, Limited))
    assert Use.objects.get(path=FOLLOW, errcode=errcode).count == asked_times


def test_busy_for_a_moment_is_not_seen(asked, standin):
    standin.answers[FOLLOW] = [error(-1), error(-1), {"follow_user": ["zhang"]}]
    assert asked.follow_users() == ["zhang"]


def test_a_quota_that_is_used_up_is_left_alone(asked, standin, time_machine):
    standin.answers[FOLLOW] = error(45009)
    with pytest.raises(Limited) as first:
        asked.follow_users()
    with pytest.raises(Limited):
        asked.follow_users()
    assert standin.count(FOLLOW) == 1
    standin.answers[FOLLOW] = {"follow_user": []}
    time_machine.move_to(first.value.until + timedelta(seconds=1))
    assert asked.follow_users() == []


@pytest.mark.parametrize("trouble", ["502", "drop", "text"])
def test_no_answer_is_an_error_of_its_own(asked, standin, trouble):
    standin.trouble[FOLLOW] = trouble
    with pytest.raises(Unreachable) as raised:
        asked.follow_users()
    assert raised.value.may_have_worked


def test_what_never_left_cannot_have_worked(asked, settings):
    settings.WECOM_API_URL = "http://127.0.0.1:9"
    with pytest.raises(Unreachable) as raised:
        asked.follow_users()
    assert not raised.value.may_have_worked


def test_a_server_that_is_down_is_left_in_peace(asked, standin, settings, later):
    asked.follow_users()
    standin.trouble[""] = "502"
    most, seconds = settings.WECOM_BREAKER
    for _call in range(most):
        with pytest.raises(Unreachable):
            asked.follow_users()
    before = len(standin.log)
    for _call in range(20):
        with pytest.raises(Paused):
            asked.follow_users()
    assert len(standin.log) == before
    later(timedelta(seconds=seconds + 1))  # one tries for all
    with pytest.raises(Unreachable):
        asked.follow_users()
    with pytest.raises(Paused):
        asked.follow_users()
    assert len(standin.log) == before + 1
    standin.trouble.clear()
    later(timedelta(seconds=seconds + 1))
    asked.follow_users()
    asked.follow_users()


def test_one_silence_is_asked_about_again_in_a_moment(asked, standin, settings):
    asked.follow_users()
    standin.trouble[""] = "502"
    most, seconds = settings.WECOM_BREAKER
    waits = []
    for _call in range(most):
        with pytest.raises(Unreachable) as raised:
            asked.follow_users()
        waits.append((raised.value.until - timezone.now()).total_seconds())
    assert max(waits[:-1]) <= 2 and min(waits[:-1]) > 0.5
    assert waits[-1] > seconds - 5


def test_what_is_of_no_use_later_goes_around_the_breaker(asked, standin, settings):
    asked.follow_users()
    standin.trouble[""] = "502"
    for _call in range(settings.WECOM_BREAKER[0]):
        with pytest.raises(Unreachable):
            asked.follow_users()
    before = Valve.objects.get(path="").blocked_until
    urgent = Gateway(asked.app, within=timedelta(seconds=5))
    with pytest.raises(Unreachable):
        urgent.follow_users()
    assert Valve.objects.get(path="").blocked_until == before  # and keeps nobody else waiting longer
    standin.trouble.clear()
    urgent.follow_users()
    asked.follow_users()  # the line is good for all


def test_what_is_of_no_use_later_ends_in_time(asked, standin):
    asked.follow_users()
    standin.pause = 3
    began = time.monotonic()
    with pytest.raises(Unreachable):
        Gateway(asked.app, within=timedelta(seconds=1)).follow_users()
    assert time.monotonic() - began < 2
    with pytest.raises(Unreachable) as late:
        Gateway(asked.app, within=timedelta()).follow_users()
    assert not late.value.may_have_worked and standin.count(FOLLOW) == 2


def test_nothing_is_asked_within_a_transaction(asked, standin):
    with transaction.atomic(), pytest.raises(RuntimeError):
        asked.follow_users()
    assert standin.log == []


# ── Secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("trouble", ["502", "drop", "text", "refused", "40001", "40014"])
def test_no_secret_is_said_to_anybody(asked, standin, settings, caplog, capsys, trouble):
    """Not in errors, whatever hangs on them, nor in any log at its most talkative, as our handlers write it."""
    asked.follow_users()
    token = next(iter(standin.tokens.values()))
    if trouble == "refused":
        settings.WECOM_API_URL = "http://127.0.0.1:9"
    elif trouble.isdecimal():
        standin.answers[FOLLOW] = error(int(trouble), f"bad token {0}")
    else:
        standin.trouble[""] = trouble
    root, handler = logging.getLogger(), logging.getLogger("django.server").handlers[0]
    root.addHandler(handler)
    Credential.objects.filter(app=asked.app).update(expires_at=timezone.now())  # the secret goes out again, too
    with caplog.at_level(logging.DEBUG), pytest.raises(WeComError) as raised:
        asked.follow_users()
    root.removeHandler(handler)
    said = "".join(traceback.format_exception(raised.value)) + repr(raised.value) + str(vars(raised.value))
    said += "".join(str(one) + repr(one) for one in _chain(raised.value)) + capsys.readouterr().err
    assert asked.app.secret not in said
    assert token not in said
    assert "203.0.113.9" not in said


def _chain(error):
    while error is not None:
        yield error
        yield from vars(error).values()
        error = error.__cause__ or error.__context__


def test_tokens_lie_sealed_in_the_database(asked, standin):
    asked.follow_users()
    with connection.cursor() as cursor:
        cursor.execute("SELECT c::text || encode(c.value, 'escape') FROM wecom_credential c")
        assert "TOKEN" not in cursor.fetchone()[0]
        cursor.execute("SELECT a::text || encode(sealed_secret, 'escape') FROM wecom_app a")
        assert asked.app.secret not in cursor.fetchone()[0]


# ── Endpoints ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_contact_with_many_followers_is_whole(asked, standin):
    pages = {"": (["a", "b"], "X"), "X": (["c"], "")}

    def page(asked):
        followers, following = pages[asked.query.get("cursor", "")]
        users = [{"userid": userid} for userid in followers]
        return {"external_contact": {"name": "王"}, "follow_user": users, "next_cursor": following}

    standin.answers["externalcontact/get"] = page
    contact = asked.contact(external_userid="wm")
    assert contact["external_contact"] == {"name": "王"}
    assert [one["userid"] for one in contact["follow_user"]] == ["a", "b", "c"]


def test_a_cursor_that_comes_back_ends_the_pages(asked, standin):
    standin.answers["user/list_id"] = {"dept_user": [{"userid": "a"}], "next_cursor": "SAME"}
    assert len(list(asked.pages(asked.list_user_ids))) == 2


def test_a_file_is_sent_whole_also_the_second_time(asked, standin):
    """wechatpy sends an empty file after it has replaced a token."""
    content = bytes(range(256)) * 50
    standin.answers["media/upload"] = [error(42001), {"media_id": "M", "created_at": "1"}]
    assert asked.upload_media(type="image", filename="a.png", content=content)["media_id"] == "M"
    bodies = [one.body for one in standin.log if one.path == "media/upload"]
    assert [content in body for body in bodies] == [True, True]
    assert message_from_bytes(bodies[0]) is not None


def test_one_person_gets_no_more_messages_than_wecom_delivers(asked, standin, time_machine):
    """It drops the 31st of a minute and the 1001st of an hour without a word."""
    start, sent = timezone.now(), []
    for second in range(0, 3600, 2):
        time_machine.move_to(start + timedelta(seconds=second), tick=False)
        with suppress(Limited):
            asked._spare(gateway.MESSAGES, ["zhang"], timezone.now())
            sent.append(second)
    assert len(sent) <= 1000
    assert max(sum(begin <= one < begin + 60 for one in sent) for begin in sent) <= 30
    time_machine.move_to(start + timedelta(seconds=1), tick=False)
    with pytest.raises(Limited):
        asked.send_message(touser=["li", "zhang"], msgtype="text", text={"content": "x"})
    asked.send_message(touser=["li"], msgtype="text", text={"content": "x"})


def test_a_message_to_many_counts_for_each_of_them_or_for_nobody(asked):
    told = {"app": asked.app, "path": gateway.MESSAGES, "now": timezone.now()}
    with suppress(Limited):
        for _ in range(50):
            limits.take_for_members(members=["full"], **told)
    with pytest.raises(Limited):
        limits.take_for_members(members=["full", "free"], **told)
    assert not Valve.objects.filter(path__endswith="@free").exists()


ENDPOINTS = [name for name in vars(Gateway.__mro__[1]) if not name.startswith("_") and name not in ("call", "spare")]


def test_every_interface_of_the_plan_is_there():
    wanted = (
        "get_user list_user_ids list_users list_departments follow_users contacts_of contact_ids contact remark"
        " add_contact_way update_contact_way get_contact_way delete_contact_way list_contact_ways send_welcome"
        " add_msg_template groupmsg_task groupmsg_send_result remind_groupmsg cancel_groupmsg transfer_customer"
        " transfer_result unassigned resigned_transfer resigned_result list_groupchats groupchat groupchat_transfer"
        " corp_tags add_corp_tag edit_corp_tag delete_corp_tag mark_tag send_message update_template_card"
        " upload_media upload_attachment user_of_code behavior_data add_moment_task"
    )
    assert set(wanted.split()) <= set(ENDPOINTS)


def test_the_address_of_sign_in(app):
    address = gateway.authorize_url(app=app, back="https://a.test/m/?x=1&y=2", state="abc")
    assert f"appid={app.corp_id}&redirect_uri=https%3A%2F%2Fa.test%2Fm%2F%3Fx%3D1%26y%3D2" in address
    assert address.endswith("state=abc#wechat_redirect")
