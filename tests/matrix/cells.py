"""Every address of the product with every row it can name: what the matrix is made of."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import transaction
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import URLResolver, get_resolver

from clerks.leads.models import Lead
from clerks.materials.models import Material, MaterialFile
from clerks.materials.models import Share as MaterialLink
from clerks.models import Broadcast, HelpRequest, Notice
from commissions.models import Attained, Dispute, Statement
from members.models import Member, Segment, SegmentMember
from retail.models import Order, Product, Staff, Store
from tests.signing_in import signed_in

ROLES = (
    *("anonymous", "clerk", "ex_clerk", "store_manager", "region_manager", "franchise_owner"),
    *("hq_ops", "hq_finance", "auditor"),
)
TOKENS = ("store_token", "region_token", "franchisee_token", "brand_token", "feed_token")
NARROW = {*ROLES, *TOKENS} - {"hq_ops", "hq_finance", "auditor"}
WHOSE = ("ours", "beside", "theirs")
METHODS = ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS")

_API = {"order": Order, "product": Product, "store": Store, "staff": Staff}
_API |= {"segment": Segment, "segmentmember": SegmentMember}


@dataclass(frozen=True)
class Address:
    """One pattern of the resolver. `name` is its name, or its route where it has none; `model` whose row it names."""

    name: str
    route: str
    model: type[Model] | None

    @property
    def names_a_row(self) -> bool:
        return self.path("x") != self.path("y")

    @property
    def kind(self) -> tuple[str, str]:
        """What sort of page, and of what: ("change", "retail.order"), or (its name, "")."""
        if self.model is None or not self.route.startswith("admin/"):
            return self.name, ""
        label = self.model._meta.label_lower
        prefix = f"admin:{label.replace('.', '_')}_"
        page = self.name.removeprefix(prefix) if self.name.startswith(prefix) else self.name
        return page.replace("admin:-bare", "bare"), label

    def path(self, pk: object, key_id: object = 1) -> str:
        path = re.sub(r"<path:content_type_id>", "1", self.route)
        path = re.sub(r"<int:key_id>", str(key_id), path)
        numbers = "line|order|member|note|notice|lead|statement|attained|dispute|help|broadcast|material|share|file"
        named = f"path:object_id|int:(?:{numbers})_id|id"
        path = re.sub(rf"<({named})>|\(\?P<pk>[^)]*\)", str(pk), path)
        path = path.replace("<int:store_id>", "0")
        path = path.replace("<day:day>", "2026-10-12").replace("<slug:slug>", "nobody")
        path = path.replace("<str:code>", "nobody").replace("<int:place>", "1")
        path = re.sub(r"\(\?P<app_label>[^)]*\)", "retail", path)
        path = re.sub(r"\(\?P<url>[^)]*\)", "no-such-page", path)
        return "/" + re.sub(r"[\^$]", "", path)


def addresses() -> list[Address]:
    return [
        Address(name if not name.endswith("-") else f"{name}{_page(route)}", route, _model(name, route))
        for name, route in _walk(get_resolver().url_patterns)
    ]


def _page(route: str) -> str:
    return "bare" if "object_id" in route else "rest"


def _walk(patterns: list[Any], spaces: tuple[str, ...] = (), before: str = "") -> Iterator[tuple[str, str]]:
    for one in patterns:
        route = before + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from _walk(one.url_patterns, (*spaces, *filter(None, [one.namespace])), route)
        else:
            yield ":".join([*spaces, one.name or "-"]), route


def _model(name: str, route: str) -> type[Model] | None:
    if found := re.match(r"admin/(\w+)/(\w+)/", route):
        try:
            return apps.get_model(*found.groups())
        except LookupError:
            return None
    if name.endswith("-detail"):
        return _API.get(name.removesuffix("-detail")) or apps.get_model("commissions", "Entry")
    rows = {"clerks:sale": Order, "clerks:customer": Member, "clerks:chat": Member, "clerks:send": Member}
    rows["clerks:wishes"] = Member
    rows |= dict.fromkeys((f"clerks:statement{verb}" for verb in ("", "_confirm", "_dispute")), Statement)
    rows |= {"clerks:sale_dispute": Order, "clerks:dispute_withdraw": Dispute, "clerks:attained": Attained}
    rows |= {"clerks:help_one": HelpRequest, "clerks:help_do": HelpRequest, "clerks:notice_of_broadcast": Broadcast}
    of_member = ("help_ask", "story", "pool_claim", "customer_give", "customer_tag", "note", "note_delete")
    rows |= dict.fromkeys((f"clerks:{name}" for name in of_member), Member)
    verbs = ("", "_contact", "_later", "_refuse", "_replied", "_claim")
    rows |= dict.fromkeys((f"clerks:lead{verb}" for verb in verbs), Lead)
    verbs = ("", "_to", "_favour", "_share", "_original", "_poster")
    rows |= dict.fromkeys((f"clerks:material{verb}" for verb in verbs), Material)
    rows |= {"clerks:reply": Material, "clerks:reply_delete": Material, "clerks:materials_beside": Member}
    rows |= {"clerks:share_sent": MaterialLink, "clerks:poster": MaterialLink, "clerks:poster_picture": MaterialLink}
    rows["clerks:material_file"] = MaterialFile
    notices = dict.fromkeys(("clerks:notice", "clerks:notice_open", "clerks:notice_done"), Notice)
    return {**rows, **notices}.get(name)


@dataclass(frozen=True)
class Cell:
    address: Address
    whose: str  # "-" where no row is named
    path: str

    @property
    def key(self) -> tuple[str, str, str]:
        return (*self.address.kind, self.whose)


def cells(worlds: Any) -> list[Cell]:
    """Every address, once for each world whose row it can name."""
    made = []
    for address in addresses():
        if not address.names_a_row or address.model is None:
            made.append(Cell(address, "-", address.path(1)))
            continue
        for whose in WHOSE:
            row = getattr(worlds, whose).rows.get(address.model)
            row = row or address.model._base_manager.first()
            assert row is not None, f"the worlds have no {address.model._meta.label}"
            made.append(Cell(address, whose, address.path(row.pk, _key_id(row))))
    return made


def _key_id(row: Model) -> int:
    """An identity that stands on the page of this row: that of a member or a buyer, or the telephone of staff."""
    if isinstance(row, Member):
        return row.identities.earliest("pk").key_id
    return row.buyer_keys[0] if isinstance(row, Order) else getattr(row, "phone_key_id", None) or 0


class Caller:
    """One role or token of `ours`, with a browser that is as new at every call."""

    def __init__(self, worlds: Any, role: str) -> None:
        self.headers: dict[str, str] = {}
        if role in TOKENS or role == "anonymous":
            self.client = Client()
        else:
            self.client = signed_in(worlds.ours.accounts[role])
        self.client.raise_request_exception = False
        if role in TOKENS:
            self.headers = {"Authorization": f"Bearer {worlds.ours.tokens[role]}"}
        self.cookies = {name: morsel.value for name, morsel in self.client.cookies.items()}

    def ask(self, method: str, path: str, data: Any = None, **headers: str) -> HttpResponse:
        """The answer; whatever the call wrote is taken back."""
        self.client.cookies.clear()  # of an earlier call: a sign-out, a new session
        self.client.cookies.load(self.cookies)
        options = {"data": data or {}} if method in ("GET", "HEAD", "POST") else {}
        send = getattr(self.client, method.lower())
        with transaction.atomic():
            answer = send(path, **options, headers={**headers, **self.headers})
            transaction.set_rollback(True)
        return answer
