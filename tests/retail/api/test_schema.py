"""The OpenAPI document: valid, complete, and true to what the API does."""

import json

import pytest
from django.core.management import call_command
from django.test import Client
from jsonschema import Draft202012Validator

from tests.retail.api.test_feed import order


@pytest.fixture(scope="module")
def document():
    return json.loads(Client().get("/api/schema/", {"format": "json"}).content)


def test_the_document_is_valid_and_without_a_warning(tmp_path):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


def test_every_address_is_described(document):
    assert {path: sorted(methods) for path, methods in document["paths"].items()} == {
        "/api/v1/orders/": ["get", "post"],
        "/api/v1/refunds/": ["post"],
        "/api/v1/events/": ["post"],
        "/api/v1/members/": ["post"],
        "/api/v1/coupon-claims/": ["post"],
        **{
            f"/api/v1/{name}/{rest}": ["get"]
            for name in ("orders", "products", "stores", "staff", "segments", "segment-members", "entries")
            for rest in ("", "{id}/")
            if (name, rest) != ("orders", "")
        },
    }


@pytest.mark.parametrize("name", ["orders", "refunds", "events", "members", "coupon-claims"])
def test_a_feed_says_what_it_takes_and_answers(document, name):
    post = document["paths"][f"/api/v1/{name}/"]["post"]

    assert sorted(post["responses"]) == ["200", "400", "401", "403", "409", "413", "415", "422", "429"]
    assert [parameter["name"] for parameter in post["parameters"]] == ["Idempotency-Key"]
    assert "Idempotency-Hit" in post["responses"]["200"]["headers"]
    assert "Retry-After" in post["responses"]["429"]["headers"]
    assert post["security"] == [{"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_bodies_and_answers_are_as_described(document, shop, till):
    def valid(name, value):
        root = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        return Draft202012Validator(root).is_valid(value)

    batch = {"orders": [order(shop)]}
    assert valid("OrderBatch", batch)
    assert not valid("OrderBatch", {"orders": []}) and not valid("OrderBatch", {"orders": [order(shop, colour=1)]})
    assert valid("OrderAnswer", till.post("orders/", batch).json())
    assert valid("OrderAnswer", till.post("orders/", {"orders": [{}]}).json())
    assert valid("Failure", till.post("orders/", b"").json())
    assert valid("Failure", till.get("orders/", {"colour": "red"}).json())
    (summary,) = till.get("orders/").json()["results"]
    assert valid("OrderSummary", summary)
    assert valid("OrderDetail", till.get(f"orders/{summary['id']}/").json())
