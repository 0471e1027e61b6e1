"""The operator's side: the command that keeps secrets, pages that tell how WeCom is, replay, retention, metrics."""

import io
import itertools
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from retail import jobs, privacy, retention, rotation, tasks
from retail.audit import AuditRow
from retail.jobs import Job
from retail.models import User
from retail.wecom import errors, inbox, keys, limits, outbox
from retail.wecom.gateway import Gateway, authorize_url
from retail.wecom.models import App, Call, FormerKey, Message
from tests.factories import wecom
from tests.retail.wecom.standin import error
from tests.signing_in import signed_in

AES_KEY = keys.new_aes_key()
ADD = ("add", "shop", "--corp-id", "ww0demo", "--agent-id", "1000002", "--secret", "s3cret", "--token", "t0ken")


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("wecom_app", *arguments, stdout=out, stderr=out)
    return out.getvalue()


@pytest.fixture
def desk(db):
    return signed_in(User.objects.create_superuser("boss"))


# ── The command ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_application_is_added_and_listed_without_its_secrets(db):
    assert "/wecom/shop/callback/" in said(*ADD, "--aes-key", AES_KEY)
    app = App.objects.get()
    assert (app.secret, app.token, app.aes_key) == ("s3cret", "t0ken", AES_KEY)
    listed, journal = said("list"), str(AuditRow._base_manager.values())
    assert "shop  corp ww0demo  agent 1000002" in listed
    assert not [secret for secret in ("s3cret", "t0ken", AES_KEY) if secret in listed + journal]


@pytest.mark.parametrize(
    "aes_key",
    ["short", AES_KEY[:-1], AES_KEY + "A", "é" * 43, ""],
    ids=["short", "one too few", "one too many", "letters of another kind", "nothing"],
)
def test_a_key_that_cannot_be_one_is_refused_without_being_said(db, aes_key):
    with pytest.raises(CommandError) as refused:
        said(*ADD, "--aes-key", aes_key)
    assert not aes_key or aes_key not in str(refused.value)
    assert not App.objects.exists()


def test_the_same_application_twice_is_refused(db):
    said(*ADD, "--aes-key", AES_KEY)
    with pytest.raises(CommandError, match="already"):
        said(*ADD, "--aes-key", AES_KEY)


def test_keys_are_rotated_with_an_overlap(app):
    before = (app.token, app.aes_key)
    shown = said("rotate", app.slug, "--generate", "--hours", "2")
    app.refresh_from_db()
    now = timezone.now()
    assert app.token in shown and app.aes_key in shown
    held, later = keys.opened(app=app, now=now), now + timedelta(hours=2)
    assert (held.tokens(now=now), held.aes_keys(now=now)) == ([app.token, before[0]], [app.aes_key, before[1]])
    assert (held.tokens(now=later), held.aes_keys(now=later)) == ([app.token], [app.aes_key])
    with pytest.raises(CommandError, match="Nothing to change"):
        said("rotate", app.slug)


def test_new_privacy_keys_seal_these_secrets_too(app, settings, tmp_path):
    old = privacy.key_ids()
    settings.PRIVACY_KEY_FILE = tmp_path / "keys"
    privacy.write_key_file(settings.PRIVACY_KEY_FILE, [privacy.new_key(9), privacy.new_key(1)])
    app.sealed_secret = privacy.sealed_in(app, "sealed_secret", b"again")
    app.save()
    assert rotation.sealed_by()[9] >= 1
    assert old


def test_token_and_key_may_be_rotated_one_after_the_other(app, client):
    """Nobody knows when which of them is typed into WeCom: every combination is taken, each part to its own end."""
    tokens, aes_keys = [app.token], [app.aes_key]
    start = timezone.now()
    keys.rotate(app=app, token=keys.new_token(), by=None, now=start)
    keys.rotate(app=app, aes_key=keys.new_aes_key(), by=None, now=start, overlap=timedelta(hours=48))
    keys.rotate(app=app, token=keys.new_token(), by=None, now=start, overlap=timedelta(hours=48))
    app.refresh_from_db()
    former = list(FormerKey.objects.order_by("pk"))
    tokens += [former[2].value, app.token]
    aes_keys.append(app.aes_key)

    def status(token, aes_key):
        xml = wecom.event("ext_contact_add", ExternalUserID=f"wm{token[:9]}{aes_key[:9]}")
        return wecom.post(client, wecom.callback(app, xml, pair=(token, aes_key))).status_code

    assert {status(*pair) for pair in itertools.product(tokens, aes_keys)} == {200}
    assert status(keys.new_token(), aes_keys[0]) == 403 and status(tokens[0], keys.new_aes_key()) == 400
    held, later = keys.opened(app=app, now=start), start + timedelta(hours=30)
    assert held.tokens(now=later) == [app.token, tokens[1]] and held.aes_keys(now=later) == aes_keys[::-1]


def test_an_application_is_switched_off_and_on(app, client, standin, later):
    said("off", app.slug)
    assert wecom.deliver(client, app, wecom.event("ext_contact_add")).status_code == 404
    assert "off" in said("list")
    call = outbox.put(app=app, path="message/send", body={"touser": "zhang"}, key="k", now=timezone.now())
    jobs.run(ids=[Job.objects.get().pk], registry=tasks.REGISTRY)
    call.refresh_from_db()
    assert (call.state, standin.log) == ("waiting", [])
    said("on", app.slug)
    later(timedelta(minutes=3))
    jobs.run(ids=[Job.objects.get().pk], registry=tasks.REGISTRY)
    call.refresh_from_db()
    assert call.state == "sent"
    assert wecom.deliver(client, app, wecom.event("ext_contact_add")).status_code == 200
    acts = AuditRow._base_manager.filter(action__startswith="wecom_app.o").values_list("action", flat=True)
    assert sorted(acts) == ["wecom_app.off", "wecom_app.on"]


def test_an_application_is_corrected(asked, standin):
    asked.follow_users()
    assert "ww0other" in said("set", asked.app.slug, "--corp-id", "ww0other", "--name", "新名字")
    app = App.objects.get()
    assert (app.corp_id, app.name) == ("ww0other", "新名字")
    Gateway(app).follow_users()
    assert standin.count("gettoken") == 2  # what was got as somebody else is worth nothing
    with pytest.raises(CommandError, match="Nothing to change"):
        said("set", app.slug)
    with pytest.raises(CommandError, match="address"):
        said("set", app.slug, "--base-url", "qyapi.example/cgi-bin")


def test_an_application_asks_its_own_address_whatever_the_setting(app, standin, settings):
    """`manage.py wecom_sync` beside a running demo knows nothing of the demo's settings."""
    settings.WECOM_API_URL = settings.WECOM_OAUTH_URL = "http://127.0.0.1:9"
    app = keys.correct(app=app, base_url=standin.url, by=None, now=timezone.now())
    Gateway(app).follow_users()
    assert standin.count("externalcontact/get_follow_user_list") == 1
    assert authorize_url(app=app, back="https://shop.example/", state="s").startswith(standin.url)


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_page_of_an_application_tells_how_wecom_is(desk, client, asked, standin):
    app = asked.app
    wecom.deliver(client, app, wecom.event("ext_contact_add"))
    asked.follow_users()
    standin.answers["externalcontact/list"] = error(60020)
    with pytest.raises(errors.Misconfigured):
        asked.contact_ids(userid="zhang")
    page = desk.get(reverse("admin:wecom_app_change", args=[app.pk])).content.decode()
    assert "<td>0</td>" not in page and ">0</td>" not in page  # what went well is no error
    for words in ("接口凭证", "externalcontact/list", "60020", "企业可信 IP", "调用额度还剩"):
        assert words in page
    assert app.secret not in page and app.token not in page and app.aes_key not in page
    assert "有问题" in desk.get(reverse("admin:wecom_app_changelist")).content.decode()
    standin.answers.clear()
    standin.revoke()  # a token that dies early is replaced, and is nobody's business
    asked.contact_ids(userid="zhang")
    page = desk.get(reverse("admin:wecom_app_change", args=[app.pk])).content.decode()
    assert "60020" in page and "40014" in page and page.count("之后已经正常") == 2
    assert "有问题" not in desk.get(reverse("admin:wecom_app_changelist")).content.decode()


def test_headquarters_switches_an_application_off_and_corrects_it(desk, app):
    page = reverse("admin:wecom_app_change", args=[app.pk])
    given = {"name": "导购台", "corp_id": app.corp_id, "agent_id": 1000009}
    assert desk.post(page, given).status_code == 302
    off = reverse("admin:wecom_app_switch_off", args=[app.pk])
    assert desk.post(off, {"_form_submitted": "True"}, headers={"HX-Request": "true"}).status_code == 200
    app.refresh_from_db()
    assert (app.name, app.agent_id, app.is_active) == ("导购台", 1000009, False)
    assert "已停用" in desk.get(reverse("admin:wecom_app_changelist")).content.decode()
    assert AuditRow._base_manager.filter(action="wecom_app.set").count() == 1


def test_a_failed_callback_says_why_and_can_be_taken_once_more(desk, client, app, settings):
    settings.JOB_MAX_ATTEMPTS = 1
    wecom.deliver(client, app, wecom.event("ext_contact_edit"))
    message = Message.objects.get()

    @jobs.apart
    def break_(message_id):
        with inbox.noting_failure(message_id=message_id, now=timezone.now()):
            raise ValueError("13812345678 cannot be")

    jobs.run(ids=[Job.objects.get().pk], registry={**tasks.REGISTRY, "wecom_event": break_})
    page = reverse("admin:wecom_message_changelist")
    listed = desk.get(page).content.decode()
    assert "ValueError: 138****5678 cannot be" in listed
    desk.post(page, {"action": "replay", "_selected_action": [message.pk]})
    message.refresh_from_db()
    assert message.state == "new"
    assert Job.objects.filter(state="due", payload={"message_id": message.pk}).count() == 1
    assert AuditRow._base_manager.filter(action="wecom_message.replay").exists()


def test_an_unknown_call_is_settled_by_hand(desk, app):
    call = outbox.put(app=app, path="message/send", body={}, key="k", now=timezone.now())
    Call.objects.update(state="unknown")
    desk.post(reverse("admin:wecom_call_changelist"), {"action": "was_sent", "_selected_action": [call.pk]})
    call.refresh_from_db()
    assert call.state == "sent"


def test_texts_are_forgotten_after_thirty_days(client, app):
    wecom.deliver(client, app, wecom.event("ext_contact_add"))
    outbox.put(app=app, path="message/send", body={"touser": "zhang"}, key="k", now=timezone.now())
    now = timezone.now()
    retention.forget(now=now + timedelta(days=29))
    assert Message.objects.get().sealed and Call.objects.get().sealed
    retention.forget(now=now + timedelta(days=31))
    assert Message.objects.get().sealed is None and Call.objects.get().sealed is None
    with pytest.raises(inbox.Forgotten):
        inbox.open_message(Message.objects.get().pk)


def test_metrics_count_the_answers(client, app, settings):
    settings.METRICS_FROM = ["127.0.0.1"]
    limits.count(app=app, path="message/send", errcode=45009, now=timezone.now())
    text = client.get("/metrics").content.decode()
    assert f'daogou_wecom_answers{{app="{app.slug}",errcode="45009",path="message/send"}} 1.0' in text
