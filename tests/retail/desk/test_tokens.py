"""A token that reads one store is one person's to make; one that reads more takes two."""

import re

import pytest
from django.db import DatabaseError, transaction
from django.test import Client

from retail import approvals, reading
from retail.approvals import Approval
from retail.models import ApiToken, AuditRow
from retail.reading import Reach

ADD = "/admin/retail/apitoken/add/"


def made(person, **fields) -> tuple[ApiToken, str]:
    """The token and the secret the page showed."""
    page = person.client.post(ADD, {"name": "ERP", **fields}, follow=True).content.decode()
    (secret,) = re.findall(r"<code>([\w-]+)</code>", page)
    return ApiToken.objects.latest("pk"), secret


def reads(secret: str) -> int:
    return Client().get("/api/v1/orders/", headers={"Authorization": f"Bearer {secret}"}).status_code


def decide(person, name: str = "agree", **said) -> int:
    row = Approval._base_manager.latest("pk")
    path = f"/admin/retail/approval/{row.pk}/{name}/"
    return person.client.post(path, {"_form_submitted": "True", **said}).status_code


def test_a_token_for_the_whole_group_reads_nothing_before_a_second_person_agrees(shop, sign_in):
    ops, finance = sign_in(shop, "hq_ops"), sign_in(shop, "hq_finance")

    token, secret = made(ops, can_read="on", brand=shop.brand.pk)

    assert reads(secret) == 403 and not token.can_read
    (act,) = AuditRow._base_manager.filter(action="add")
    assert "can_read" not in act.after, "the journal says what became of it"
    page = finance.get(f"/admin/retail/approval/{Approval._base_manager.get().pk}/change/").content.decode()
    assert f"可以读：{shop.brand}" in page
    assert decide(ops) == 403
    assert decide(finance) == 200
    assert reads(secret) == 200
    assert ApiToken.objects.get() == token and ApiToken.objects.get().brand == shop.brand
    assert AuditRow._base_manager.get(action="token.read").by == finance.user


def test_a_token_for_one_store_works_at_once(shop, sign_in):
    _token, secret = made(sign_in(shop, "hq_ops"), can_read="on", store=shop.store.pk)

    assert reads(secret) == 200 and not Approval._base_manager.exists()


def test_a_wider_reach_waits_and_the_narrow_one_goes_on(shop, sign_in):
    ops, finance = sign_in(shop, "hq_ops"), sign_in(shop, "hq_finance")
    token, secret = made(ops, can_read="on", store=shop.store.pk)

    ops.post(f"/admin/retail/apitoken/{token.pk}/change/", name="ERP 2", can_read="on")
    token.refresh_from_db()
    assert (token.name, token.store, reads(secret)) == ("ERP 2", shop.store, 200)
    decide(finance, "refuse", answer="一家就够")

    token.refresh_from_db()
    assert token.store == shop.store


def test_a_token_that_was_switched_off_meanwhile_stays_off(shop, sign_in, everything):
    ops, finance = sign_in(shop, "hq_ops"), sign_in(shop, "hq_finance")
    made(ops, can_read="on")
    ApiToken.objects.update(revoked_at="2026-01-01T00:00Z")
    row = Approval._base_manager.get()

    with pytest.raises(approvals.Refused, match="停用"):
        approvals.decide(approval=row, by=finance.user, is_approved=True, now=row.asked_at)


def test_a_token_that_posts_takes_two(shop, sign_in):
    ops, finance = sign_in(shop, "hq_ops"), sign_in(shop, "hq_finance")

    token, secret = made(ops, channel=shop.pos.pk)

    def posts() -> int:
        answer = Client().post(
            "/api/v1/orders/", {}, "application/json", headers={"Authorization": f"Bearer {secret}"}
        )
        return answer.status_code

    assert posts() == 403 and token.channel is None and token.made_by == ops.user
    assert decide(finance) == 200
    token.refresh_from_db()
    assert posts() == 400 and token.agreed_by == finance.user


def test_a_handful_of_tokens_is_one_persons_and_no_more(shop, sign_in):
    ops, other = sign_in(shop, "hq_ops"), sign_in(shop, "hq_ops")

    reached = [reads(made(ops, can_read="on", store=shop.store.pk)[1]) for _ in range(reading.MOST_ALONE + 1)]

    assert reached == [200] * reading.MOST_ALONE + [403]
    assert Approval._base_manager.count() == 1
    assert reads(made(other, can_read="on", store=shop.store.pk)[1]) == 200
    ApiToken.objects.update(revoked_at="2026-01-01T00:00Z")  # those of today count still
    assert reads(made(ops, can_read="on", store=shop.store.pk)[1]) == 403


def test_a_token_is_switched_off_for_good(shop, sign_in):
    ops, finance = sign_in(shop, "hq_ops"), sign_in(shop, "hq_finance")
    token, secret = made(ops, can_read="on", store=shop.store.pk)
    path = f"/admin/retail/apitoken/{token.pk}/"
    ops.post(f"{path}change/", name="ERP", can_read="on")
    assert finance.post(f"{path}revoke/", _form_submitted="True").status_code == 403

    assert ops.post(f"{path}revoke/", _form_submitted="True").status_code == 200

    assert reads(secret) == 401 and AuditRow._base_manager.get(action="token.revoke").by == ops.user
    assert Approval._base_manager.get().state == "lapsed", "nothing is left to agree to"
    page = ops.get(f"{path}change/").content.decode()
    assert "revoke/" not in page and 'name="can_read"' not in page
    ops.post(f"{path}change/", name="ERP", can_read="on", store=shop.store.pk, revoked_at_0="", revoked_at_1="")
    assert reads(secret) == 401
    with pytest.raises(DatabaseError, match="was revoked"), transaction.atomic():
        ApiToken.objects.update(revoked_at=None)


@pytest.mark.parametrize(
    ("before", "wanted", "two"),
    [
        (None, Reach(can_read=True), True),
        (None, Reach(can_read=True, brand_id=1, region_id=2), True),
        (None, Reach(can_read=True, store_id=1), False),
        (None, Reach(can_read=True, store_id=1, channel_id=1), True),
        (None, Reach(channel_id=1), True),
        (None, Reach(brand_id=1), False),
        (Reach(), Reach(can_read=True, store_id=1), True),
        (Reach(can_read=True, store_id=1), Reach(can_read=True, store_id=2), True),
        (Reach(can_read=True, store_id=1), Reach(can_read=True, store_id=1, channel_id=1), True),
        (Reach(channel_id=1), Reach(channel_id=2), True),
        (Reach(can_read=True, channel_id=1), Reach(can_read=True), False),
        (Reach(can_read=True, store_id=1, staff_id=1), Reach(can_read=True, store_id=1), True),
        (Reach(can_read=True, store_id=1, staff_id=1), Reach(can_read=True, store_id=1, staff_id=2), True),
        (Reach(can_read=True, store_id=1), Reach(can_read=True, store_id=1, staff_id=1), False),
        (Reach(can_read=True, store_id=1, staff_id=1), Reach(), False),
        (Reach(can_read=True), Reach(can_read=True, brand_id=1), False),
        (Reach(can_read=True, brand_id=1), Reach(can_read=True, brand_id=1, region_id=2), False),
        (Reach(can_read=True, brand_id=1), Reach(can_read=True, brand_id=2), True),
        (Reach(can_read=True, store_id=1), Reach(can_read=True), True),
        (Reach(brand_id=1), Reach(can_read=True, brand_id=1), True),
        (Reach(can_read=True), Reach(), False),
    ],
)
def test_only_widening_takes_two(before, wanted, two):
    assert reading.takes_two(wanted=wanted, before=before) is two
