"""Identifying values: stored once, found blind, shown masked."""

import base64
import io
import logging
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from logging import NullHandler
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.utils import timezone

from retail import jobs, logs, privacy, retention, rotation
from retail.imports import leftovers
from retail.models import AuditRow, BuyerKey, Job
from retail.privacy import Known
from tests import factories
from tests.factories import NOW, wecom
from tests.figures import figure


@pytest.mark.parametrize(
    ("type", "value", "shown"),
    [
        ("phone", "13800005678", "138****5678"),
        ("card", "VIP000777", "VI****77"),
        ("card", "123456", "****"),
    ],
)
def test_masks(type, value, shown):
    assert privacy.mask(type, value) == shown


@pytest.mark.parametrize("value", ["", "   ", "abc", "123", "1" * 21, "138\x0000005678", "1380000567八"])
def test_bad_phones_are_refused(value):
    with pytest.raises(privacy.BadValue):
        privacy.normalised(Known("phone", "", value))


@pytest.mark.django_db
def test_a_value_is_kept_once_and_never_in_the_clear():
    known = privacy.normalised(Known("phone", "", "+86 138 0000 5678"))

    (first,) = privacy.keep([known, known]).values()
    (again,) = privacy.keep([known]).values()

    assert first == again
    key = BuyerKey.objects.get()
    assert privacy.reveal(key) == "13800005678"
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(k)::text FROM retail_buyerkey k")
        assert "13800005678" not in cursor.fetchone()[0]


@pytest.mark.django_db
def test_the_scope_of_a_value_is_part_of_it():
    assert len(privacy.keep([Known("card", "A", "7"), Known("card", "B", "7")])) == 2
    assert BuyerKey.objects.count() == 2


@pytest.mark.django_db
def test_erased_is_erased():
    (key_id,) = privacy.keep([Known("phone", "", "13800005678")]).values()
    BuyerKey.objects.update(cipher=None)

    with pytest.raises(LookupError):
        privacy.reveal(BuyerKey.objects.get(pk=key_id))


@pytest.fixture
def keys(settings):
    def use(*spelled):
        privacy._read.cache_clear()  # what a test may read with, production may not
        settings.PRIVACY_KEYS = list(spelled)

    return use


@pytest.mark.django_db
def test_a_new_key_at_the_front_reads_and_finds_what_the_old_one_wrote(keys):
    old, new = ("1:" + base64.b64encode(b"o" * 32).decode(), "2:" + base64.b64encode(b"n" * 32).decode())
    keys(old)
    before = privacy.keep([Known("phone", "", "13800005678")])

    keys(new, old)

    assert privacy.keep([Known("phone", "", "13800005678")]) == before
    assert privacy.reveal(BuyerKey.objects.get()) == "13800005678"


@pytest.mark.parametrize(
    "spelled", ["nonsense", "1:", "0:" + base64.b64encode(b"o" * 32).decode(), "1:aGVsbG8=", "1:!!!"]
)
def test_a_bad_key_stops_the_start(keys, spelled):
    keys(spelled)

    with pytest.raises(ImproperlyConfigured):
        privacy.fingerprint(Known("phone", "", "1"))


def test_phones_do_not_reach_the_log():
    record = logging.LogRecord("x", logging.INFO, "", 0, "buyer %s called", ("13800005678",), None)

    logs.PrivacyFilter().filter(record)

    assert record.getMessage() == "buyer 138****5678 called"


# ── New keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def spelled(id, letter):
    return f"{id}:" + base64.b64encode(letter * 32).decode()


OLD, MIDDLE, NEW = spelled(1, b"o"), spelled(2, b"m"), spelled(3, b"n")


def phones(count):
    return [Known("phone", "", f"1380000{n:04}") for n in range(count)]


def rotate(*options):
    said = io.StringIO()
    call_command("rotate_privacy_keys", *options, stdout=said)
    return said.getvalue()


@pytest.mark.django_db
def test_rotation_seals_everything_with_the_newest_key(keys):
    keys(OLD)
    before = privacy.keep(phones(50))
    keys(NEW, OLD)

    rotate("--batch", "7")

    assert rotation.sealed_by() == {3: 50}
    assert privacy.keep(phones(50)) == before
    assert {privacy.reveal(key) for key in BuyerKey.objects.all()} == {known.value for known in phones(50)}


@pytest.mark.django_db
def test_a_rotation_that_was_stopped_goes_on(keys):
    keys(OLD)
    privacy.keep(phones(30))
    keys(NEW, OLD)
    halves = rotation.rotate(batch=10)
    next(halves)
    halves.close()
    assert rotation.sealed_by() == {1: 20, 3: 10}

    rotate()

    assert rotation.sealed_by() == {3: 30}
    assert list(rotation.rotate()) == []


@pytest.mark.django_db
def test_erased_values_are_no_matter_for_a_rotation(keys):
    keys(OLD)
    erased, kept = privacy.keep(phones(2)).values()
    privacy.erase(key_id=erased, by=None, reason="本人要求", now=NOW)
    keys(NEW, OLD)

    rotate()

    assert rotation.sealed_by() == {3: 1}
    assert BuyerKey.objects.get(pk=kept).cipher is not None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("id", "said"), [(1, "oldest"), (2, "1 values are still sealed"), (3, "newest"), (9, "There is no key 9")]
)
def test_a_key_in_use_is_not_dropped(keys, id, said):
    keys(MIDDLE, OLD)
    privacy.keep(phones(1))
    keys(NEW, MIDDLE, OLD)

    with pytest.raises(CommandError, match=said):
        rotate("--drop", str(id))


@pytest.fixture
def key_file(settings, tmp_path):
    settings.PRIVACY_KEYS, settings.PRIVACY_KEY_FILE = [], tmp_path / "keys" / "privacy.keys"
    return settings.PRIVACY_KEY_FILE


@pytest.mark.django_db
def test_the_whole_life_of_a_key_file(key_file):
    known = phones(3)
    ids = privacy.keep(known)
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    rotate("--new")
    rotate("--new")
    assert rotation.sealed_by() == {3: 3}

    assert "Key 2 is gone" in rotate("--drop", "2")

    assert [item.partition(":")[0] for item in key_file.read_text().split()] == ["3", "1"]
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert privacy.keep(known) == ids
    assert list(key_file.parent.iterdir()) == [key_file]


@pytest.mark.django_db
def test_a_key_another_process_made_is_read_at_once(key_file):
    (key_id,) = privacy.keep(phones(1)).values()
    before = key_file.read_text()
    rotate("--new")
    after = key_file.read_text()
    key_file.write_text(before)
    privacy._read.cache_clear()
    assert privacy.key_ids() == (1,)  # this process knows the old file …

    key_file.write_text(after)  # … when another writes the new one

    assert privacy.reveal(BuyerKey.objects.get(pk=key_id)) == phones(1)[0].value


@pytest.mark.django_db
def test_another_oldest_key_is_noticed_before_anything_is_done(keys):
    keys(OLD)
    privacy.keep(phones(1))
    keys(OLD, spelled(9, b"x"))

    assert "oldest key is not the one" in rotation.faults()[0]
    with pytest.raises(CommandError, match="oldest key"):
        rotate()
    keys(spelled(9, b"x"))
    assert "Key 1 is missing" in rotation.faults()[0]
    keys(spelled(1, b"x"))
    assert "missing or was changed" in rotation.faults()[0]


# ── Sealed for its row ───────────────────────────────────────────────────────────────────────────────────────────────
def sealed_as_before(plain):
    """In the form that knew no place: the id of the key, 12 bytes, cipher and tag."""
    ring, nonce = privacy._ring(), os.urandom(12)
    return bytes([ring.ids[0]]) + nonce + ring.ciphers[ring.ids[0]].encrypt(nonce, plain, None)


@pytest.mark.django_db
def test_a_cipher_copied_into_another_row_does_not_open_there():
    mine, other = phones(2)
    ids = privacy.keep([mine, other])
    stolen = BuyerKey.objects.get(pk=ids[other]).cipher
    BuyerKey.objects.filter(pk=ids[mine]).update(cipher=stolen)

    with pytest.raises(privacy.MissingKey, match="where it was not sealed"):
        privacy.reveal(BuyerKey.objects.get(pk=ids[mine]))
    assert privacy.reveal(BuyerKey.objects.get(pk=ids[other])) == other.value
    assert f"BuyerKey {ids[mine]}" in rotation.faults()[0]


@pytest.mark.django_db
def test_a_secret_copied_into_another_column_or_application_does_not_open_there(everything):
    one, two = wecom.app(slug="one"), wecom.app(slug="two", corp_id="wwother")
    assert one.opened("sealed_token") == one.token
    one.sealed_secret, two.sealed_token = one.sealed_token, one.sealed_token

    for app, name in ((one, "sealed_secret"), (two, "sealed_token")):
        with pytest.raises(privacy.MissingKey):
            app.opened(name)


@pytest.mark.django_db
def test_what_was_sealed_before_still_opens_and_a_rotation_binds_it(keys):
    keys(OLD)
    known = phones(5)
    ids = privacy.keep(known)
    for one in known:
        BuyerKey.objects.filter(pk=ids[one]).update(cipher=sealed_as_before(one.value.encode()))
    assert {privacy.reveal(key) for key in BuyerKey.objects.all()} == {one.value for one in known}
    assert (rotation.unbound(), rotation.faults(), rotation.sealed_by()) == (5, [], {1: 5})

    rotate("--batch", "2")

    assert (rotation.unbound(), rotation.faults(), rotation.sealed_by()) == (0, [], {1: 5})
    assert {privacy.reveal(key) for key in BuyerKey.objects.all()} == {one.value for one in known}


@pytest.mark.django_db
def test_every_key_is_tried_not_the_newest_alone(keys):
    for count, ring in enumerate(([OLD], [MIDDLE, OLD], [NEW, MIDDLE, OLD]), start=1):
        keys(*ring)
        privacy.keep(phones(count))
    assert (rotation.faults(), rotation.sealed_by()) == ([], {1: 1, 2: 1, 3: 1})

    keys(NEW, spelled(2, b"x"), OLD)

    assert "Key 2" in rotation.faults()[0]


def test_production_refuses_what_is_no_key(keys, settings, tmp_path):
    settings.TESTING = settings.DEMO = False
    for wrong in ([OLD], [f"1:{base64.b64encode(bytes(16)).decode()}"], ["k1:" + OLD[2:]]):
        keys(*wrong)
        with pytest.raises(ImproperlyConfigured):
            privacy.require_keys()
    settings.PRIVACY_KEY_FILE = tmp_path / "none"
    keys()
    with pytest.raises(ImproperlyConfigured, match="must be set"):
        privacy.require_keys()
    settings.PRIVACY_KEY_FILE.write_text(privacy.new_key(1))
    settings.PRIVACY_KEY_FILE.chmod(0o644)
    with pytest.raises(ImproperlyConfigured, match="chmod 600"):
        privacy.require_keys()
    keys(privacy.new_key(2), privacy.new_key(1))
    privacy.require_keys()
    keys(same := privacy.new_key(1), same)
    with pytest.raises(ImproperlyConfigured, match="twice"):
        privacy.require_keys()


def test_a_production_process_does_not_start_without_keys(tmp_path):
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DAOGOU_")},
        "SECRET_KEY": "k" * 30 + "x1" * 20,
        "DAOGOU_VAR": str(tmp_path),
        "DATABASE_URL": "postgresql:///none",
    }
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import retail.wsgi"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert run.returncode != 0 and "DAOGOU_PRIVACY_KEYS must be set" in run.stderr
    assert list(tmp_path.iterdir()) == []


# ── Forgotten ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.django_db
def test_erasure_leaves_no_way_back_but_remembers_the_wish():
    known, other = phones(2)
    ids = privacy.keep([known, other])
    print_ = privacy.fingerprint(known)

    assert privacy.erase(key_id=ids[known], by=None, reason="本人要求", now=NOW)

    row = BuyerKey.objects.filter(pk=ids[known]).values().get()
    assert row["cipher"] is None and "138" not in row["masked"] and bytes(row["hmac"]) != print_
    assert privacy.suppressed([known, other]) == {known: NOW}
    assert not privacy.erase(key_id=ids[known], by=None, reason="又一次", now=NOW)
    assert AuditRow._base_manager.filter(action="erase").count() == 1
    assert known.value not in str(list(AuditRow._base_manager.values())) + str(row)


@pytest.mark.django_db
def test_who_comes_back_gets_a_new_row_and_is_still_left_alone():
    (known,) = phones(1)
    (old,) = privacy.keep([known]).values()
    privacy.erase(key_id=old, by=None, reason="本人要求", now=NOW)

    (fresh,) = privacy.keep([known]).values()

    assert fresh != old
    assert privacy.reveal(BuyerKey.objects.get(pk=fresh)) == known.value
    assert privacy.suppressed([known]) == {known: NOW}
    later = NOW + timedelta(days=30)
    privacy.erase(key_id=fresh, by=None, reason="再次要求", now=later)
    assert privacy.suppressed([known]) == {known: later}


@pytest.mark.django_db
@pytest.mark.parametrize("sql", ["UPDATE {} SET at = now()", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.parametrize("table", ["retail_suppression", "retail_auditrow"])
def test_nobody_takes_a_suppression_or_an_audit_row_back(table, sql):
    (key_id,) = privacy.keep(phones(1)).values()
    privacy.erase(key_id=key_id, by=None, reason="本人要求", now=NOW)

    with pytest.raises(DatabaseError, match="append-only"), connection.cursor() as cursor:
        cursor.execute(sql.format(table))


# ── Shown to a person ────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.django_db
def test_the_twenty_first_is_refused_and_tomorrow_is_another_day():
    person, other = factories.user(), factories.user()
    values = privacy.keep(phones(21))

    def look(known, *, by=person, now=NOW):
        key = BuyerKey.objects.get(pk=values[known])
        return privacy.unmask(key=key, about=key, by=by, reason="顾客来电核对", now=now)

    seen = [look(known) for known in phones(20)]

    assert seen == [known.value for known in phones(20)]
    with pytest.raises(privacy.QuotaUsed, match="20"):
        look(phones(21)[20])
    assert look(phones(21)[20], by=other) == phones(21)[20].value
    assert look(phones(21)[20], now=NOW + timedelta(days=1)) == phones(21)[20].value
    rows = AuditRow._base_manager.filter(action="unmask")
    assert rows.filter(by=person).count() == 21 and rows.filter(by=other).count() == 1
    assert not [known.value for known in phones(21) if known.value in str(list(rows.values()))]
    figure("P12", "whole numbers: 20 of 21 on one day, the 21st refused, 22 of 22 views audited")


@pytest.mark.django_db(transaction=True)
def test_the_quota_holds_for_many_windows_at_once(settings):
    settings.UNMASK_PER_DAY = 5
    person = factories.user()
    (key_id,) = privacy.keep(phones(1)).values()
    key = BuyerKey.objects.get(pk=key_id)

    def look(_n):
        try:
            return privacy.unmask(key=key, about=key, by=person, reason="顾客来电核对", now=NOW)
        except privacy.QuotaUsed:
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(look, range(24)))

    assert len([value for value in seen if value]) == 5


@pytest.mark.django_db
@pytest.mark.parametrize("reason", ["", "  ", "x", "长" * 201])
def test_no_reason_no_number(reason):
    (key_id,) = privacy.keep(phones(1)).values()
    key = BuyerKey.objects.get(pk=key_id)

    with pytest.raises(privacy.NoReason):
        privacy.unmask(key=key, about=key, by=factories.user(), reason=reason, now=NOW)
    assert not AuditRow._base_manager.exists()


# ── Logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
SENTINEL = "13912345678"


@pytest.mark.parametrize(
    "text",
    [
        SENTINEL, f"+86{SENTINEL}", f"86{SENTINEL}", "+86 139 1234 5678", "139-1234-5678", f"/x/?q={SENTINEL}&y=1",
        "/x/?q=%2B86139%201234%205678", "q=139+1234+5678", f"('{SENTINEL}',)", f"Key (phone)=({SENTINEL})",
        "139.1234.5678", "(139) 1234-5678", "139 - 1234 - 5678", "139·1234·5678", "1 3 9 1 2 3 4 5 6 7 8",
        "139/1234/5678",
        "１３９１２３４５６７８", "１３９ １２３４－５６７８", "/x/?q=139%2D1234%2D5678",
        "/x/?q=" + quote("１３９１２３４５６７８"),
    ],
)  # fmt: skip
def test_every_spelling_of_a_phone_is_masked(text):
    said = logs.masked(text)

    assert "5678" in said and "1234" not in said


SECRET = "hunter2-Zq9"


@pytest.mark.parametrize(
    "text",
    [
        f"password={SECRET}", f"https://x.test/?a=1&access_token={SECRET}&b=2", f"token={SECRET}", f"secret: {SECRET}",
        f"Authorization: Bearer {SECRET}", f"bearer%20{SECRET}", f'{{"password": "{SECRET}", "a": 1}}',
        f"{{'new_password1': '{SECRET}'}}", f"client_secret={SECRET};", f"?next=token%3D{SECRET}", f"api_key={SECRET}",
        f"postgres://daogou:{SECRET}@db/x", f"jsapi_ticket={SECRET}", f"?code={SECRET}&state=1",
        f"PASSWORD = '{SECRET}'",
    ],
)  # fmt: skip
def test_every_spelling_of_a_secret_is_masked(text):
    said = logs.masked(text)

    assert SECRET not in said and "****" in said


@pytest.mark.parametrize(
    "text", ["errcode: 40001", "Unknown token.", "a secret of the house", "line 13, 98765 rows", "10.130.24.15:8000"]
)
def test_words_about_secrets_stay(text):
    assert logs.masked(text) == text


def test_what_is_kept_for_good_keeps_nothing_of_a_number():
    assert logs.struck(f"顾客 {SENTINEL} 来电") == "顾客 **** 来电"


@pytest.mark.parametrize("text", ["订单 20261012143000123456", "1700000000000", "共 139 1234 件"])
def test_other_numbers_stay(text):
    assert logs.masked(text) == text


def written(emit):
    """What the handler of the settings writes."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("{asctime} {levelname} {name}: {message}", style="{"))
    handler.addFilter(logs.PrivacyFilter())
    logger = logging.getLogger("sentinel")
    logger.addHandler(handler)
    try:
        emit(logger)
    finally:
        logger.removeHandler(handler)
    return out.getvalue()


@pytest.mark.django_db
def test_a_traceback_tells_no_phone():
    def emit(logger):
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT %s::int, 'x'::int", [f"call {SENTINEL}"])
        except DatabaseError:
            logger.exception("failed for %s", SENTINEL, stack_info=True)

    said = written(emit)

    assert "139****5678" in said and "Traceback" in said
    assert SENTINEL not in said


def test_a_traceback_tells_no_secret():
    def emit(logger):
        try:
            raise ValueError(f"GET https://x.test/?access_token={SECRET} with １３９１２３４５６７８")
        except ValueError:
            logger.exception("call with %s", {"password": SECRET}, stack_info=True)

    said = written(emit)

    assert "Traceback" in said and SECRET not in said and "139****5678" in said


def test_every_handler_of_the_product_masks():
    def handlers(logger):
        return [handler for handler in logger.handlers if not type(handler).__module__.startswith("_pytest")]

    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    ours = [handler for logger in loggers for handler in handlers(logger) if not isinstance(handler, NullHandler)]

    assert ours
    assert [h for h in ours if not any(isinstance(one, logs.PrivacyFilter) for one in h.filters)] == []


@pytest.mark.django_db
def test_the_error_of_a_failed_job_tells_no_phone(everything):
    def fail(**_payload):
        raise ValueError(f"bad buyer {SENTINEL}")

    (job_id,) = jobs.enqueue(work=[jobs.Work("fail", {})], now=timezone.now())
    jobs.run(ids=[job_id], registry={"fail": fail})

    assert "139****5678" in Job.objects.get(pk=job_id).last_error
    assert SENTINEL not in Job.objects.get(pk=job_id).last_error


# ── What is kept how long ────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.django_db
def test_what_is_past_its_time_goes_and_nothing_else(settings, tmp_path, everything):
    settings.VAR_DIR = tmp_path / "var"
    now = timezone.now()
    for name, days in (("old", 8), ("new", 6)):
        file = tmp_path / f"{name}.failed.csv"
        file.write_text("phone\n13800000000")
        os.utime(file, ((now - timedelta(days=days)).timestamp(),) * 2)
        leftovers.remember(file)
        Job.objects.create(kind=name, state="done", created_at=now, due_at=now, ended_at=now - timedelta(days=days))
    mine = tmp_path / "mine.csv"
    mine.write_text("keep")
    os.utime(mine, (0, 0))
    leftovers.remember(mine)

    gone = retention.forget(now=now)

    assert gone["failed-row files of imports"] == 1 and gone["done jobs"] == 1
    assert {path.name for path in tmp_path.glob("*.csv")} == {"new.failed.csv", "mine.csv"}
    assert list(Job.objects.values_list("kind", flat=True)) == ["new"]
    assert len(list(leftovers.notes().iterdir())) == 1


def test_the_document_shows_the_table():
    page = (Path(settings.BASE_DIR) / "docs" / "privacy.md").read_text()

    for kept in retention.TABLE:
        assert f"| {kept.name} | {kept.life} | {kept.why} |" in page


@pytest.mark.django_db
def test_the_command_shows_the_table():
    said = io.StringIO()
    call_command("retention", "--run", stdout=said)

    assert all(kept.name in said.getvalue() for kept in retention.TABLE)
    assert "done jobs" in said.getvalue() and "deleted 0" in said.getvalue()
