"""The short way in: the same answers as the address of the usual kind, and a dead connection costs no message."""

import io
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from retail.jobs import Job
from retail.wecom.lane import with_lane
from retail.wecom.models import App, Message
from tests.factories import wecom
from tests.factories.wecom import Callback

pytestmark = pytest.mark.django_db(transaction=True)  # the lane closes connections as a server does
ADD = "ext_contact_add"


@pytest.fixture
def app(transactional_db: None) -> App:
    return wecom.app()


def pages(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"a page"]


def ask(delivery: Callback, method: str = "POST", **environ: Any) -> tuple[str, dict[str, str], bytes]:
    """Status, headers and body, as a server would get them."""
    told: list[Any] = []
    given = {
        "REQUEST_METHOD": method,
        "PATH_INFO": delivery.path,
        "QUERY_STRING": delivery.address.partition("?")[2],
        "CONTENT_LENGTH": str(len(delivery.body)),
        "wsgi.input": io.BytesIO(delivery.body),
    }
    body = with_lane(pages)({**given, **environ}, lambda status, head: told.extend((status, dict(head))))  # type: ignore[arg-type,return-value,func-returns-value]
    return told[0], told[1], b"".join(body)


def test_a_message_is_taken_with_its_jobs(app):
    for path in (f"/wecom/{app.slug}/callback/", f"/wecom/{app.slug}/callback"):
        delivery = wecom.callback(app, wecom.event(ADD))._replace(path=path)
        status, head, body = ask(delivery)
        assert (status, head["Content-Length"], body) == ("200 OK", "0", b"")
    assert (Message.objects.count(), Job.objects.count()) == (1, 2)


def test_the_riddle_is_answered_with_exactly_its_text(app):
    riddle = wecom.riddle(app, "1616140317555161061 +/你好".encode())
    assert ask(riddle, "GET")[::2] == ("200 OK", "1616140317555161061 +/你好".encode())
    status, head, body = ask(riddle, "HEAD")
    assert (status, body) == ("200 OK", b"") and int(head["Content-Length"]) > 0


REFUSED = [
    ({"method": "PUT"}, "405 Method Not Allowed"),
    ({"PATH_INFO": "/wecom/nobody/callback/"}, "404 Not Found"),
    ({"QUERY_STRING": "msg_signature=%ff&timestamp=1&nonce=%F0%9F"}, "403 Forbidden"),
    ({"QUERY_STRING": ""}, "403 Forbidden"),
    ({"CONTENT_LENGTH": "70000"}, "413 Request Entity Too Large"),
    ({"CONTENT_LENGTH": "-1"}, "413 Request Entity Too Large"),
    ({"CONTENT_LENGTH": "²"}, "413 Request Entity Too Large"),
    ({"CONTENT_LENGTH": ""}, "400 Bad Request"),
    ({"wsgi.input": io.BytesIO(b"<xml>")}, "400 Bad Request"),
]


def test_what_is_no_callback_is_refused(app):
    for changed, status in REFUSED:
        assert ask(wecom.callback(app, wecom.event(ADD)), **changed)[0] == status, changed
    assert not Message.objects.exists()


def test_other_addresses_go_the_long_way(app):
    delivery = wecom.callback(app, wecom.event(ADD))
    for path in ("/", "/wecom/", f"/wecom/{app.slug}/callback/x", f"/wecom/{app.slug}/a/callback/", "/m/callback/"):
        assert ask(delivery._replace(path=path))[2] == b"a page"


def test_a_connection_that_has_died_costs_no_message(app):
    assert ask(wecom.callback(app, wecom.event(ADD, WelcomeCode="FIRST")))[0] == "200 OK"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    _end_backend(pid)
    assert ask(wecom.callback(app, wecom.event(ADD, WelcomeCode="SECOND")))[0] == "200 OK"
    assert Message.objects.count() == 2


def _end_backend(pid: int) -> None:
    """From another connection, as a restart of the server does it."""
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    finally:
        other.close()


def test_what_cannot_be_written_is_a_5xx_and_leaves_nothing(app):
    delivery = wecom.callback(app, wecom.event(ADD))
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger AS $$BEGIN RAISE 'disk full'; END$$ LANGUAGE plpgsql;"
            "CREATE TRIGGER full_disk BEFORE INSERT ON retail_job FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    assert ask(delivery)[0] == "500 Internal Server Error"
    assert not Message.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER full_disk ON retail_job; DROP FUNCTION refuse()")
    assert ask(delivery)[0] == "200 OK"
    assert (Message.objects.count(), Job.objects.count()) == (1, 2)


# ── At once ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def at_once(sent: list[Callback]) -> list[str]:
    """The answers to deliveries of which none was answered before all had come: somebody holds the table up."""

    def deliver(one: Callback) -> str:
        try:
            return ask(one)[0]
        finally:
            connection.close()

    other = connection.copy()
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor, ThreadPoolExecutor(len(sent)) as pool:
            cursor.execute("LOCK TABLE wecom_message")
            answers = [pool.submit(deliver, one) for one in sent]
            time.sleep(0.5)
            assert not any(answer.done() for answer in answers)
            other.commit()
            return [answer.result() for answer in answers]
    finally:
        other.close()


def test_those_who_come_at_once_share_a_commit_and_each_is_there_once_in_its_order(app):
    sent = [wecom.callback(app, wecom.event(ADD, WelcomeCode=f"CODE{n // 2}")) for n in range(12)]
    assert set(at_once(sent)) == {"200 OK"}
    assert (Message.objects.count(), Job.objects.count()) == (6, 12)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT xmin::text) FROM wecom_message")
        assert cursor.fetchone()[0] < 6, "each had a commit of its own"
    jobs_of = Counter(Job.objects.values_list("payload__message_id", flat=True))
    assert jobs_of == dict.fromkeys(Message.objects.values_list("pk", flat=True), 2)


def test_what_cannot_be_written_harms_nothing_that_came_with_it(app):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE wecom_message ADD CONSTRAINT no_room CHECK (change_type <> 'huge')")
    sent = [wecom.callback(app, wecom.event(ADD, WelcomeCode=f"CODE{n}")) for n in range(5)]
    sent.insert(2, wecom.callback(app, wecom.event(ADD, ChangeType="huge")))
    answers = at_once(sent)
    assert answers.pop(2) == "500 Internal Server Error" and set(answers) == {"200 OK"}
    assert (Message.objects.count(), Job.objects.count()) == (5, 10)
