"""Quotas in virtual time: whatever is asked for, no window sees more than the vendor allows."""

import random
from bisect import bisect_left
from contextlib import suppress
from datetime import timedelta

import pytest
from django.utils import timezone

from retail.wecom import limits
from retail.wecom.errors import Limited
from tests.figures import figure

PATH = "externalcontact/get"


@pytest.mark.parametrize(("per_hour", "burst", "a_minute", "an_hour"), [(135_000, 5_000, 10_000, 150_000)])
def test_no_window_sees_more_than_the_vendor_allows(settings, per_hour, burst, a_minute, an_hour):
    """The same bucket a thousand times smaller, asked for ten virtual hours by a crowd that comes and goes."""
    step, ahead = limits._as_steps((per_hour, burst))
    assert ahead / step + timedelta(minutes=1) / step <= a_minute
    assert ahead / step + timedelta(hours=1) / step <= an_hour


def test_the_bucket_holds_what_it_says(app, settings):
    settings.WECOM_RATES = {"": (360, 10)}
    dice, now, taken = random.Random(9), timezone.now(), []
    for _call in range(1_500):
        now += timedelta(seconds=dice.choice([0, 0, 1, 3, 40]))
        with suppress(Limited):
            limits.take(app=app, path=PATH, now=now)
            taken.append(now)
    refused = 1_500 - len(taken)
    for start in taken:
        for window in (60, 3600):
            end = bisect_left(taken, start + timedelta(seconds=window))
            assert end - taken.index(start) <= 10 + window / 10
    assert refused > 100
    figure("P17", f"{len(taken)} calls let through, {refused} held back: no window above its quota")


def test_what_is_held_back_goes_through_when_it_says(app, settings):
    settings.WECOM_RATES = {"": (60, 2)}
    now = timezone.now()
    limits.take(app=app, path=PATH, now=now)
    limits.take(app=app, path=PATH, now=now)
    with pytest.raises(Limited) as held:
        limits.take(app=app, path=PATH, now=now)
    limits.take(app=app, path=PATH, now=held.value.until)
    assert limits.left(app=app, path=PATH, now=now) == 0


def test_interfaces_and_corps_do_not_use_up_each_other(app, settings):
    from tests.factories import wecom

    settings.WECOM_RATES = {"": (60, 1)}
    now = timezone.now()
    for one, path in ((app, "a"), (app, "b"), (wecom.app(), "a")):
        limits.take(app=one, path=path, now=now)
    with pytest.raises(Limited):  # another application of the same corp has the same quota
        limits.take(app=wecom.app(corp_id=app.corp_id), path="a", now=now)
