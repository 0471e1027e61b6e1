"""Callbacks: stored with their jobs before they are answered, once; what is not WeCom's leaves nothing but a count."""

import random
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from retail import privacy
from retail.jobs import Job
from retail.wecom import inbox, keys
from retail.wecom.models import Call, Message, Use
from tests.factories import wecom
from tests.figures import figure
from tests.retail.wecom.test_crypto import BOMBS, SAMPLES, VECTORS

ADD = "ext_contact_add"


def stored():
    return Message.objects.count(), Job.objects.count()


def app_of(vector):
    return wecom.app(corp_id=vector["receiveid"], token=vector["token"], aes_key=vector["encoding_aes_key"])


def query_of(vector):
    return {name: vector[name] for name in ("msg_signature", "timestamp", "nonce")}


# ── Trying the address out ───────────────────────────────────────────────────────────────────────────────────────────
ECHOES = [vector for vector in VECTORS["callback"] if vector["kind"] == "echo"]


@pytest.mark.parametrize("vector", ECHOES, ids=lambda vector: vector["id"])
def test_the_address_answers_with_exactly_the_text(client, db, vector):
    app = app_of(vector)
    answer = client.get(f"/wecom/{app.slug}/callback/", {**query_of(vector), "echostr": vector["encrypt"]})
    if vector["expect"]["ok"]:
        assert (answer.status_code, answer.content.decode()) == (200, vector["expect"]["plaintext"])
    else:
        assert (answer.status_code, answer.content) == (403, b"")


def test_a_plus_arrives_as_a_plus(client, db):
    vector = next(one for one in ECHOES if one["id"] == "gen-echo-plus")
    answer = client.get(f"/wecom/{app_of(vector).slug}/callback/?{vector['query_string']}")
    assert answer.content.decode() == vector["expect"]["plaintext"]


# ── Messages ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_event_is_stored_with_its_job(client, app, sample):
    answer = wecom.deliver(client, app, sample.read_bytes())

    assert (answer.status_code, answer.content) == (200, b"")
    message = Message.objects.get()
    opened = inbox.open_message(message.pk)
    assert message.event in (opened.fields.get("Event"), opened.fields.get("MsgType"))
    assert message.change_type == opened.fields.get("ChangeType", "")
    kinds = dict(Job.objects.values_list("kind", "queue"))
    welcome = {"wecom_welcome": "fast"} if "WelcomeCode" in opened.fields else {}
    assert kinds == {"wecom_event": "", **welcome}
    assert all(payload == {"message_id": message.pk} for payload in Job.objects.values_list("payload", flat=True))


@pytest.mark.parametrize("times", [1, 2, 3, 4])
def test_one_to_four_deliveries_have_one_effect(client, app, times):
    """Each in an envelope of its own: another nonce, another time, another random prefix."""
    for _delivery in range(times):
        assert wecom.deliver(client, app, wecom.event(ADD)).status_code == 200
    assert stored() == (1, 2)


def test_several_customers_within_one_second_are_several(client, app):
    """By the vendor's rule (FromUserName and CreateTime) they would be one."""
    for n in range(5):
        wecom.deliver(client, app, wecom.event(ADD, ExternalUserID=f"wm-customer-{n}", WelcomeCode=f"CODE-{n}"))
    assert stored() == (5, 10)


def test_messages_about_one_customer_share_a_shard_that_names_nobody(client, app):
    for name in (ADD, "ext_contact_edit"):
        wecom.deliver(client, app, wecom.event(name, ExternalUserID="wm-one"))
    wecom.deliver(client, app, wecom.event(ADD, ExternalUserID="wm-two"))
    shards = list(Message.objects.order_by("pk").values_list("shard", flat=True))
    assert shards[0] == shards[1] != shards[2]
    assert all(shard.startswith(f"wx:{app.corp_id}:") and "wm-" not in shard for shard in shards)
    assert set(Job.objects.filter(kind="wecom_event").values_list("shard", flat=True)) == set(shards)


def test_no_text_of_a_message_stands_in_the_database_unsealed(client, app):
    xml = wecom.event(ADD, ExternalUserID="wm-sentinel-5566", WelcomeCode="SENTINEL")
    wecom.deliver(client, app, xml)
    with connection.cursor() as cursor:
        cursor.execute("SELECT m::text || encode(sealed, 'escape') FROM wecom_message m")
        rows = cursor.fetchall()
        cursor.execute("SELECT j::text FROM retail_job j")
        rows += cursor.fetchall()
    assert not [row for (row,) in rows if "sentinel" in row.lower()]
    assert privacy.opened(Message.objects.get(), "sealed") == xml


def test_the_envelope_is_not_believed(client, app):
    """Its corp and agent are not signed: another word there makes no second message."""
    delivery = wecom.callback(app, wecom.event(ADD))
    for said in (app.corp_id, "ww-somebody-else"):
        body = delivery.body.replace(app.corp_id.encode(), said.encode()).replace(str(app.agent_id).encode(), b"7")
        assert wecom.post(client, delivery._replace(body=body)).status_code == 200
    assert stored() == (1, 2)


def test_without_the_last_slash_it_is_the_same_address(client, app):
    """WeCom follows no redirect: a 301 would be a lost message."""
    delivery = wecom.callback(app, wecom.event(ADD))
    bare = delivery._replace(path=delivery.path.removesuffix("/"))
    assert (wecom.post(client, bare).status_code, stored()) == (200, (1, 2))
    assert client.get(bare.path).status_code == 403  # a trial without a signature
    assert wecom.post(client, delivery).status_code == 200 and stored() == (1, 2)


def test_a_message_and_its_jobs_are_one_statement(client, app, django_assert_num_queries):
    wecom.deliver(client, app, wecom.event(ADD, WelcomeCode="FIRST"))
    delivery = wecom.callback(app, wecom.event(ADD, WelcomeCode="SECOND"))
    with django_assert_num_queries(0):  # besides the one that the server keeps planned, which Django does not see
        assert wecom.post(client, delivery).status_code == 200
    assert stored() == (2, 4)


def test_who_cannot_write_says_so(app):
    """Half of it is not enough: without the job there is no message, and no 200."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger AS $$BEGIN RAISE 'disk full'; END$$ LANGUAGE plpgsql;"
            "CREATE TRIGGER full_disk BEFORE INSERT ON retail_job FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    with transaction.atomic():
        answer = wecom.deliver(Client(raise_request_exception=False), app, wecom.event(ADD))
        transaction.set_rollback(True)  # as PostgreSQL does with a statement that stands alone
    assert answer.status_code == 500
    assert stored() == (0, 0)


def test_an_application_that_is_off_or_unknown_is_not_there(client, app):
    delivery = wecom.callback(app, wecom.event(ADD))
    assert wecom.post(client, delivery._replace(path="/wecom/nobody/callback/")).status_code == 404
    app.is_active = False
    app.save()
    assert wecom.post(client, delivery).status_code == 404
    assert stored() == (0, 0)


def test_two_pairs_of_keys_hold_while_they_rotate(client, app, time_machine):
    before = (app.token, app.aes_key)
    now = timezone.now()
    app = keys.rotate(app=app, token=keys.new_token(), aes_key=keys.new_aes_key(), by=None, now=now)
    old = [wecom.callback(app, wecom.event(ADD, WelcomeCode=f"OLD{n}"), pair=before) for n in range(2)]
    new = wecom.callback(app, wecom.event(ADD, WelcomeCode="NEW"))

    assert [wecom.post(client, one).status_code for one in (old[0], new)] == [200, 200]
    time_machine.move_to(now + keys.OVERLAP + timedelta(seconds=1))
    assert [wecom.post(client, one).status_code for one in (old[1], new)] == [403, 200]
    assert stored() == (2, 4)


# ── What is not WeCom's ──────────────────────────────────────────────────────────────────────────────────────────────
NEGATIVE = [vector for vector in VECTORS["callback"] if not vector["expect"]["ok"] and vector["kind"] == "post"]


@pytest.mark.parametrize("vector", NEGATIVE, ids=lambda vector: vector["id"])
def test_every_negative_vector_is_a_4xx_and_a_count(client, db, vector):
    app = app_of(vector)
    path = f"/wecom/{app.slug}/callback/"
    answer = wecom.post(client, wecom.Callback(path, query_of(vector), wecom.envelope(app, vector["encrypt"])))
    assert answer.status_code in (400, 403)
    assert stored() == (0, 0) and not Call.objects.exists()
    assert Use.objects.get(app=app, path="callback").count == 1


BODIES = {
    **BOMBS,
    "no Encrypt": b"<xml><ToUserName>a</ToUserName></xml>",
    "two Encrypts": b"<xml><Encrypt>a</Encrypt><Encrypt>b</Encrypt></xml>",
    "Encrypt with children": b"<xml><Encrypt><a>1</a></Encrypt></xml>",
    "JSON": b'{"encrypt": "a"}',
    "a type before a good part": b"<!DOCTYPE x><xml><Encrypt>ab</Encrypt></xml>",
    "a comment": b"<xml><!-- a --><Encrypt>ab</Encrypt></xml>",
    "a type within a text": b"<xml><a><![CDATA[<!ENTITY]]></a><Encrypt>ab</Encrypt></xml>",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_every_bomb_is_a_4xx_at_once(client, app, body):
    wecom.post(client, wecom.callback(app, b"warm")._replace(body=b""))
    began = time.perf_counter()
    answer = wecom.post(client, wecom.callback(app, b"")._replace(body=body))
    took = time.perf_counter() - began
    assert answer.status_code in (400, 403, 413)
    assert took < 1  # promised are 0.05, on a machine that does nothing else; a bomb would take many
    assert stored() == (0, 0)


def test_fuzzed_deliveries_are_all_refused(client, app, size):
    """P13: some part of a good delivery is another than it was."""
    dice, seconds, tries, slowest = random.Random(13), 600 if size == "full" else 8, 0, 0.0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        delivery = wecom.callback(app, dice.choice(SAMPLES).read_bytes())
        began = time.perf_counter()
        answer = wecom.post(client, _spoiled(dice, delivery))
        slowest = max(slowest, time.perf_counter() - began)
        tries += 1
        assert 400 <= answer.status_code < 500
    assert stored() == (0, 0)
    figure("P13", f"{tries} forged deliveries in {seconds} s: 0 accepted, 0 × 5xx, slowest {slowest * 1000:.0f} ms")


def _spoiled(dice, delivery):
    query = dict(delivery.query)
    what = dice.choice([*query, "missing", "body", "sealed"])
    if what == "missing":
        del query[dice.choice(list(query))]
    elif what == "body":
        start = delivery.body.index(b"<Encrypt>")
        place = dice.randrange(start, len(delivery.body) - 30)
        return delivery._replace(body=delivery.body[:place] + dice.randbytes(3) + delivery.body[place + 1 :])
    elif what == "sealed":
        return delivery._replace(body=delivery.body.replace(b"<Encrypt><![CDATA[", b"<Encrypt><![CDATA[A"))
    else:
        query[what] = dice.choice(["", "0", "\ud800", "é" * 40, query[what][:-1], query[what] + "0", "f" * 40])
    return delivery._replace(query={name: value.encode("utf-8", "replace").decode() for name, value in query.items()})


def test_the_same_signature_cut_otherwise_has_no_second_effect(client, db, size):
    """P13: one signature holds for every way to cut the same digits into timestamp and nonce."""
    app = wecom.app(token="z" * 32)
    count, again = 1_000 if size == "full" else 60, 0
    for n in range(count):
        delivery = wecom.callback(app, wecom.event(ADD, WelcomeCode=f"CODE-{n}"))
        assert wecom.post(client, delivery).status_code == 200
        encrypted = delivery.body.partition(b"<Encrypt><![CDATA[")[2].partition(b"]]>")[0].decode()
        for query in _cut_otherwise(app.token, delivery.query, encrypted):
            assert wecom.post(client, delivery._replace(query=query)).status_code == 200
            again += 1
    assert again > 5 * count
    assert stored() == (count, 2 * count)
    figure("P13", f"{count} messages replayed {again} times under the same signature, cut otherwise: 0 effects")


def _cut_otherwise(token, query, encrypted):
    """The same with other timestamps and nonces for which the sorted parts make the same text."""
    whole = "".join(sorted([token, query["timestamp"], query["nonce"], encrypted]))
    digits = whole.replace(token, "", 1).replace(encrypted, "", 1)
    for place in range(len(digits) + 1):
        for timestamp, nonce in ((digits[:place], digits[place:]), (digits[place:], digits[:place])):
            is_other = (timestamp, nonce) != (query["timestamp"], query["nonce"])
            if is_other and "".join(sorted([token, timestamp, nonce, encrypted])) == whole:
                yield {**query, "timestamp": timestamp, "nonce": nonce}
