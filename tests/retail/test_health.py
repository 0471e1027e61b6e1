"""What machines may ask: alive, ready, figures; and that nobody else learns the figures."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from retail import health, jobs, periodic, tasks


@pytest.fixture(autouse=True)
def _looked_up_anew():
    health._require_migrations.cache_clear()


def figures(client=None, **headers):
    answer = (client or Client()).get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.status_code
    lines = (line for line in answer.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_alive_asks_nobody(client):
    """No database is open to this test."""
    assert client.get("/healthz/live").json() == {"status": "ok"}


@pytest.fixture
def let_in(settings):
    settings.METRICS_FROM = ["127.0.0.1"]


def test_strangers_learn_the_bare_status(db, client, settings):
    settings.METRICS_FROM, settings.METRICS_TOKEN = [], "s" * 32

    assert client.get("/healthz/ready").json() == {"status": "ok"}
    known = client.get("/healthz/ready", headers={"Authorization": "Bearer " + "s" * 32}).json()
    assert known["migrations"] == "applied"
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'clerks'")
    health._require_migrations.cache_clear()
    answer = client.get("/healthz/ready")
    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable"})


@pytest.mark.usefixtures("let_in")
def test_ready_when_orders_can_be_taken_and_the_sweeper_goes_round(db, client):
    tasks.sweep()

    answer = client.get("/healthz/ready")

    assert answer.status_code == 200 and answer.json()["sweeper"] == "ok"
    assert answer.headers["Cache-Control"].startswith("max-age=0")


@pytest.mark.usefixtures("let_in")
def test_a_late_sweeper_is_said_and_keeps_no_order_out(db, client):
    assert client.get("/healthz/ready").json()["sweeper"] == "late"
    periodic.note(task="retail.sweep", now=timezone.now() - timedelta(minutes=3))

    answer = client.get("/healthz/ready")

    assert answer.status_code == 200 and answer.json()["sweeper"] == "late"


@pytest.mark.usefixtures("let_in")
def test_not_ready_while_migrations_are_pending(db, client):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'clerks'")

    answer = client.get("/healthz/ready")

    assert answer.status_code == 503 and answer.json()["migrations"] == "pending"


@pytest.mark.usefixtures("let_in")
def test_not_ready_without_a_database(db, client, monkeypatch):
    """The connection is cut, and its next one leads nowhere."""
    connection.close_if_unusable_or_obsolete()
    monkeypatch.setitem(connection.settings_dict, "HOST", "/nowhere")
    connection.connection.close()

    answer = client.get("/healthz/ready")

    assert answer.status_code == 503 and answer.json() == {"status": "unavailable", "database": "unreachable"}


@pytest.mark.parametrize("path", ["/healthz/live", "/healthz/ready", "/metrics"])
def test_they_are_only_read(db, client, path):
    assert client.post(path).status_code == 405


# ── Figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def open_metrics(settings, db):
    settings.METRICS_FROM = ["127.0.0.0/8"]


def test_depth_and_age_of_each_kind(open_metrics):
    now = timezone.now()
    jobs.enqueue(work=[jobs.Work("settle_refund", {"refund_id": n}) for n in range(3)], now=now - timedelta(hours=1))
    jobs.enqueue(work=[jobs.Work("other", {})], now=now)
    jobs.Job.objects.filter(kind="other").update(state="dead")

    said = figures()

    assert said['daogou_jobs_waiting{kind="settle_refund"}'] == 3
    assert 3600 <= said['daogou_jobs_oldest_seconds{kind="settle_refund"}'] < 3700
    assert said['daogou_jobs_dead{kind="other"}'] == 1 and said['daogou_jobs_waiting{kind="other"}'] == 0
    assert said['daogou_jobs_waiting{kind="settle_order"}'] == 0  # said all the same


def test_last_runs_and_failures(open_metrics):
    assert figures()["daogou_sweeper_last_run_timestamp_seconds"] == 0
    before = timezone.now().timestamp()
    tasks.sweep()
    periodic.note(task="retail.doctor", now=timezone.now(), found={"legs_add_up": 2, "one_active_binding": 0})

    said = figures()

    assert before <= said["daogou_sweeper_last_run_timestamp_seconds"] < before + 60
    assert said['daogou_invariant_failures{name="legs_add_up"}'] == 2
    assert said['daogou_invariant_failures{name="one_active_binding"}'] == 0
    assert said["daogou_doctor_last_run_timestamp_seconds"] > 0
    assert said["daogou_seals_until_timestamp_seconds"] == 0
    tasks.seal()
    assert before <= figures()["daogou_seals_until_timestamp_seconds"] < before + 60


def test_a_description_written_by_hand_is_no_run(open_metrics):
    PeriodicTask.objects.filter(task="retail.sweep").update(description="不要关掉")

    assert figures()["daogou_sweeper_last_run_timestamp_seconds"] == 0


def test_figures_are_for_whom_they_are_meant(db, settings):
    settings.METRICS_FROM, settings.METRICS_TOKEN = ["10.1.0.0/16", "2001:db8::/32"], "a-long-secret"

    assert Client().get("/metrics").status_code == 404
    assert Client().get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 404
    assert Client().get("/metrics", headers={"X-Forwarded-For": "10.1.2.3"}).status_code == 404
    assert Client(REMOTE_ADDR="").get("/metrics").status_code == 404
    assert figures(Authorization="Bearer a-long-secret")
    assert figures(Client(REMOTE_ADDR="10.1.2.3")) and figures(Client(REMOTE_ADDR="2001:db8::7"))


def test_no_token_is_no_key(db, settings):
    settings.METRICS_FROM, settings.METRICS_TOKEN = [], ""

    assert Client().get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404
