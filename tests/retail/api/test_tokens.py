"""Who gets in, how often, and what a token may see."""

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from retail import scope
from retail.api import tokens
from retail.models import ApiToken
from retail.scope import Scope
from tests import factories


def test_only_a_digest_of_the_secret_is_kept(till):
    kept = ApiToken.objects.get()

    assert kept.digest != till.secret and till.secret not in str(vars(kept))
    assert len(till.secret) >= 40


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic {}", "{}", "Bearer {} x", "Bearer \xff"])
def test_a_call_without_a_valid_token_is_told_how_to_sign_in(till, header):
    answer = till.get("stores/", Authorization=header.format(till.secret))

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert "detail" in answer.json()


def test_a_revoked_token_is_refused_on_the_next_call(till):
    assert till.get("stores/").status_code == 200

    ApiToken.objects.update(revoked_at=timezone.now())

    assert till.get("stores/").status_code == 401


def test_reading_takes_the_right_to_read(till):
    ApiToken.objects.update(can_read=False)

    assert till.get("orders/").status_code == 403
    assert till.get("orders/1/").status_code == 403


def test_posting_takes_a_channel(till):
    ApiToken.objects.update(channel=None)

    assert till.post("orders/", {"orders": [{}]}).status_code == 403
    assert till.post("refunds/", {"refunds": [{}]}).status_code == 403


def test_too_many_calls_are_told_when_to_come_back(till, monkeypatch):
    monkeypatch.setattr(tokens.TokenThrottle, "rate", "3/min", raising=False)
    other = type(till)(*tokens.issue(name="other", can_read=True))

    statuses = [till.get("stores/").status_code for _ in range(4)]
    refused = till.post("orders/", {"orders": []})

    assert statuses == [200, 200, 200, 429]
    assert refused.status_code == 429 and 1 <= int(refused.headers["Retry-After"]) <= 60
    assert other.get("stores/").status_code == 200


def test_the_scope_of_a_token_is_the_place_it_names(everything):
    shop = factories.world()
    company = factories.franchisee()
    theirs = shop.another_store(franchisee=company)
    factories.world()

    def scope_of(**place):
        return tokens.scope_of_token(tokens.issue(name="x", **place)[0])

    assert scope_of() == scope.EVERYTHING
    assert scope_of(brand=shop.brand) == Scope(brand_ids=frozenset([shop.brand.pk]))
    brand = frozenset([shop.brand.pk])
    both = frozenset([shop.store.pk, theirs.pk])
    assert scope_of(store=theirs) == Scope(store_ids=frozenset([theirs.pk]), store_brand_ids=brand)
    assert scope_of(region=shop.region) == Scope(store_ids=both, store_brand_ids=brand)
    assert scope_of(franchisee=company) == Scope(store_ids=frozenset([theirs.pk]), store_brand_ids=brand)
    assert scope_of(franchisee=company, store=shop.store) == Scope(store_ids=frozenset(), store_brand_ids=frozenset())


def test_the_command_prints_a_secret_that_works(shop, till, capsys):
    call_command("api_token", "erp", "--channel", shop.pos.code, "--read", "--store", shop.store.code)
    secret = capsys.readouterr().out.strip()

    made = ApiToken.objects.get(name="erp")
    assert (made.channel, made.store, made.can_read) == (shop.pos, shop.store, True)
    assert till.get("stores/", Authorization=f"Bearer {secret}").status_code == 200


@pytest.mark.parametrize("arguments", [[], ["--channel", "nowhere"], ["--read", "--store", "nowhere"]])
def test_the_command_makes_no_useless_token(db, arguments):
    with pytest.raises(CommandError):
        call_command("api_token", "erp", *arguments)

    assert not ApiToken.objects.exists()


def test_the_command_lists_the_codes_there_are(everything):
    shop = factories.world()

    with pytest.raises(CommandError, match=rf"There is no channel 'nowhere'\. There are: {shop.pos.code}\."):
        call_command("api_token", "erp", "--channel", "nowhere")
