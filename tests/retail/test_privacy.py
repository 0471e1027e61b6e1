"""Identifying values: stored once, found blind, shown masked."""

import base64
import logging

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from retail import logs, privacy
from retail.models import BuyerKey
from retail.privacy import Known


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
        settings.PRIVACY_KEYS = list(spelled)
        privacy._ring.cache_clear()

    yield use
    privacy._ring.cache_clear()


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
