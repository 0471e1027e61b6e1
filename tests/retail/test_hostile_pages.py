"""What no browser would send: addresses, forms, headers and bodies made to break a page. Every one is an answer."""

import tracemalloc

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

import retail.urls  # noqa: F401  registers every page
from clerks.materials.models import Material
from retail import scope
from retail.desk import roles
from retail.models import Store
from tests import factories
from tests.figures import figure
from tests.signing_in import signed_in

XSS = [
    "<script>alert(7)</script>",
    '"><img src=x onerror=alert(7)>',
    "'-alert(7)-'",
    "{{7*7}}<b>",
    "javascript:alert(7)",
    "</title><svg onload=alert(7)>",
]
VALUES = {
    "NUL": "\x00",
    "escaped NUL": "a%00b",
    "lone surrogate as bytes": b"\xed\xa0\x80",
    "not UTF-8": b"\xff\xfe",
    "5 000 digits": "9" * 5000,
    "minus": "-1",
    "beyond 64 bits": str(2**64),
    "NaN": "NaN",
    "quote": "' OR 1=1 --",
    "template": "{{ request }}{% debug %}",
    "list": "[]",
    "full-width digits": "１２３",
    "Arabic digits": "٣",
    "year 0": "0000-00-00",
    "year 99999": "99999-01-01 00:00:00",
    "traversal": "../../../etc/passwd",
    "line break": "a\r\nSet-Cookie: x=1",
    "long": "x" * 60_000,
    "empty": "",
}
FORM_VALUES = {kind: VALUES[kind] for kind in ("NUL", "5 000 digits", "list", "not UTF-8", "Arabic digits", "NaN")}
NAMES = ["q", "p", "o", "e", "all", "_facets", "page", "month", "_popup", "_to_field", "next"]
PAGES = ["/admin/retail/order/", "/admin/retail/auditrow/", "/admin/commissions/entry/", "/m/earnings/", "/m/sign-in/"]
FILTERS = {
    "/admin/retail/order/": ["store__id__exact", "paid_at__gte", "settled_at__isnull"],
    "/admin/retail/auditrow/": ["target_id", "target_type", "by__id__exact", "action", "at__gte"],
    "/admin/commissions/entry/": ["kind__exact"],
}


@pytest.fixture
def shop(db):
    with scope.within(scope.EVERYTHING):
        return factories.world()


@pytest.fixture
def person(shop):
    """Somebody who may do everything, at headquarters; errors become answers."""
    with scope.within(scope.EVERYTHING):
        staff = shop.hire(f"H{factories.number()}", role="hq_ops")
        staff.user = factories.user(is_superuser=True, is_staff=True)
        staff.save()
        roles.grant(user=staff.user, role="hq_ops")
    client = signed_in(staff.user, post=staff.posts.get())
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize("page", PAGES)
def test_no_query_breaks_a_page(person, page):
    names = [*NAMES, *FILTERS.get(page, [])]
    # Each value in one name after another, so that every name meets several and every value every kind of page.
    asked = [(names[(place + step) % len(names)], kind, value)
             for step in (0, 5) for place, (kind, value) in enumerate(VALUES.items())]  # fmt: skip
    person.get(page)
    broken, peaks = [], {}

    tracemalloc.start()
    for name, kind, value in asked:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        if person.get(page, {name: value}).status_code >= 500:
            broken.append((name, kind))
        peaks[name, kind] = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()

    assert broken == []
    assert max(peaks.values()) <= 20_000_000, peaks
    figure("P15", f"{len(asked)} hostile queries of {page}: 0 × 5xx, + {max(peaks.values()) / 1e6:.1f} MB at most")


@pytest.mark.parametrize(
    ("asked", "headers"),
    [({f"x{number}": "1" for number in range(2000)}, {}), ({}, {"Host": "elsewhere.example"})],
    ids=["too many parameters", "another host"],
)
def test_what_is_refused_leaves_no_traceback_in_the_log(person, caplog, settings, asked, headers):
    settings.ALLOWED_HOSTS = ["testserver"]

    assert person.get("/admin/retail/order/", asked, headers=headers).status_code == 400

    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


# Pages that first ask what is to be added; the form is another for each.
KINDS = {"materials.Material": [f"?kind={kind}" for kind in Material.Kind]}


def test_no_form_breaks_a_page(person, shop):
    """Every field of every page that adds a row, with every value: refused or kept, never broken."""
    tried, broken = 0, []
    pages = [(model._meta, query) for model in admin.site._registry for query in KINDS.get(model._meta.label, [""])]
    for opts, query in pages:
        address = reverse(f"admin:{opts.app_label}_{opts.model_name}_add") + query
        page = person.get(address)
        if page.status_code != 200:
            continue
        form = page.context["adminform"].form if "adminform" in page.context else page.context["form"]
        names = list(form.fields)
        formsets = page.context.get("inline_admin_formsets", [])
        inlines = [inline.formset.management_form for inline in formsets]
        for place, (kind, value) in enumerate(FORM_VALUES.items()):
            count = ("0", "x")[place % 2]
            counts = {form[name].html_name: count for form in inlines for name in form.fields}
            answer = person.post(address, {**dict.fromkeys(names, value), **counts})
            tried += 1
            if answer.status_code >= 500:
                broken.append((opts.label, query, kind, count))

    assert broken == [] and tried > 100
    figure("P15", f"{tried} hostile forms to the pages that add a row: 0 × 5xx")


@pytest.mark.parametrize("page", ["/admin/retail/order/", "/m/me/type/", "/doors/", "/admin/login/", "/m/sign-in/"])
def test_no_body_breaks_a_page(person, page, settings):
    settings.DEMO = True
    form = "application/x-www-form-urlencoded"
    parts = "multipart/form-data; boundary=x"
    bodies = [
        (b"a=1&" * 2000, form),
        (b"%00=%00&post=%00&type=%00&action=%00&_selected_action=%00", form),
        (b"post=%ff%fe&action=export_csv&_selected_action=%ff", form),
        (b"action=export_csv&_selected_action=" + b"9" * 5000, form),
        (b"action=export_csv&_selected_action=x&select_across=x&index=-1", form),
        (b"action=export_csv&index=" + b"9" * 5000, form),
        (b"--x\r\n" * 1000, parts),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"y" * 900_000 + b"\r\n--x--", parts),
        (b'--x\r\nContent-Disposition: form-data; name="f"; filename="../../x\x00"\r\n\r\nz\r\n--x--', parts),
        (b"--\r\n", "multipart/form-data"),
        (b"x", "multipart/form-data; boundary=" + "b" * 300),
        (b"\x00" * 1000, "application/octet-stream"),
        (b"{", "application/json; charset=nonsense"),
        (b"a=1", f"{form}; charset=nonsense"),
    ]

    answers = [person.generic("POST", page, body, content_type=kind).status_code for body, kind in bodies]

    assert [code for code in answers if code >= 500] == []
    figure("P15", f"{len(bodies)} hostile bodies to {page}: 0 × 5xx")


@pytest.mark.parametrize("page", ["/admin/retail/order/", "/m/me/type/", "/doors/", "/admin/login/"])
def test_what_is_too_large_is_not_read(person, page):
    answer = person.post(page, b"x" * (1024 * 1024 + 1), content_type="application/x-www-form-urlencoded")

    assert answer.status_code == 413 and "一次最多提交 1 MB" in answer.content.decode()


def test_the_feed_says_413_as_well(db):
    answer = Client().post("/api/v1/orders/", b"x" * (8 * 1024 * 1024 + 1), content_type="application/json")

    assert answer.status_code == 413 and answer.json()["code"] == "too_large"


def test_no_header_breaks_a_page(person):
    odd = ["\x01", "9" * 5000, "é"]
    names = ["Accept-Language", "Cookie", "Referer", "User-Agent", "HX-Current-URL", "HX-Request", "X-Forwarded-For",
             "Content-Length", "Authorization", "Idempotency-Key", "If-Modified-Since", "Range"]  # fmt: skip
    pages = ["/m/", "/", "/api/v1/stores/"]

    broken = [
        (page, name)
        for page in pages
        for name in names
        for value in odd
        if person.get(page, headers={name: value}).status_code >= 500
    ]

    assert broken == []
    figure("P15", f"{len(pages) * len(names) * len(odd)} hostile headers: 0 × 5xx")


# ── P25 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
ELSEWHERE = [
    "//evil.example/x",
    "https://evil.example/",
    "/\\evil.example",
    "javascript:alert(1)",
    "https:evil.example",
    "\thttps://evil.example",
    "http:///evil.example",
    "///evil.example",
    "https://testserver@evil.example/",
]


@pytest.mark.parametrize("there", ELSEWHERE)
def test_nobody_is_sent_elsewhere(db, there):
    user = factories.user(is_staff=True, is_superuser=True)
    login = {"username": user.username, "password": "a-long-password", "next": there}
    asked = [
        Client().post("/admin/login/", login),
        Client().post(f"/admin/login/?{'next'}={there}", login),
        Client().get("/m/", {"next": there}),
    ]
    signed_in = Client()
    signed_in.force_login(user)
    asked += [
        signed_in.get("/admin/login/", {"next": there}),
        signed_in.post("/m/me/type/", {"next": there}, headers={"Referer": there}),
        signed_in.post("/m/me/sign-out/", {"next": there}),
        signed_in.post("/admin/logout/", {"next": there}),
    ]

    places = [answer.headers.get("Location", "/") for answer in asked]

    assert [place for place in places if not place.startswith("/") or place.startswith(("//", "/\\"))] == []


def test_text_is_shown_as_text(person, shop):
    """Names of everything that has one, on the lists, the pages of the rows and the forms that choose among them."""
    from django.apps import apps
    from django.db import models

    fields = 0
    for payload in XSS[:3]:
        with scope.within(scope.EVERYTHING):
            for model in apps.get_models():
                if model._meta.app_label not in ("retail", "members", "commissions", "clerks", "leads"):
                    continue
                names = [f for f in model._meta.fields if type(f) in (models.CharField, models.TextField)]
                plain = [f for f in names if f.name in ("name", "city", "note", "title") and not f.choices]
                if not plain:
                    continue
                fields += len(plain)
                model._base_manager.update(**{f.name: payload[: f.max_length] for f in plain})
        pages = [f"/admin/{m._meta.app_label}/{m._meta.model_name}/" for m in admin.site._registry]
        pages += [f"/admin/retail/store/{shop.store.pk}/change/", "/admin/retail/store/add/", "/admin/", "/m/", "/"]
        for page in pages:
            said = person.get(page).content.decode()
            assert payload not in said or payload in ("javascript:alert(7)",), page
            assert 'href="javascript:' not in said, page
    assert Store._base_manager.filter(name=XSS[2]).exists()
    figure("P25", f"{len(ELSEWHERE)} open redirects × 7 and {fields} text fields with script, over all lists: 0")


def test_every_answer_tells_the_browser_what_it_may_do(person):
    for page in ("/", "/m/sign-in/", "/admin/", "/admin/login/", "/api/v1/stores/", "/no-such-page/"):
        said = person.get(page).headers
        policy = said["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy, page
        assert ("'unsafe-inline'" in policy or "'unsafe-eval'" in policy) <= page.startswith("/admin/"), page
        assert "script-src 'self' 'unsafe-inline'" not in policy, page
        assert said["X-Content-Type-Options"] == "nosniff" and said["Referrer-Policy"] == "same-origin", page
        assert said["Cross-Origin-Opener-Policy"] == "same-origin" and "camera=()" in said["Permissions-Policy"], page
        assert said["X-Frame-Options"] == "DENY", page
