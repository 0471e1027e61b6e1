"""P11: no look-up, filter, order or search tells a true guess about a hidden value from a false one."""

import pytest
from django.contrib import admin
from django.db.models import Field, Model
from django.urls import reverse

import retail.urls  # noqa: F401  registers every page
from members.models import Member
from retail import scope
from retail.models import ApiToken, BuyerKey, User
from tests.figures import figure
from tests.matrix import cells
from tests.matrix.worlds import PHONES, STAFF_PHONES

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

PAGES = list(admin.site._registry)
LOOKUPS = ("", "__exact", "__startswith", "__contains", "__regex", "__gte", "__in", "__isnull")
SHORT = 2  # relations
SECRETS = {
    BuyerKey: ("masked", "hmac", "cipher"),
    User: ("password", "is_superuser"),
    ApiToken: ("digest",),
}
# A true guess about each hidden field, and a false one.
GUESSES = {"masked": ("13", "99"), "password": ("!", "x"), "is_superuser": ("0", "1"), "digest": ("0", "zz")}


def paths_to_secrets(model: type[Model], depth: int = 4, before: str = "", came_by: tuple = ()) -> list[str]:
    """Every look-up path of up to four relations from this model to a hidden field."""
    found = [before + name for name in SECRETS.get(model, ())]
    if depth:
        for one in model._meta.get_fields():
            other = one.related_model
            if one.is_relation and isinstance(other, type) and other not in (model, *came_by):
                name = one.name if isinstance(one, Field) else one.get_accessor_name()
                name = getattr(one, "related_query_name", None) or name if not isinstance(one, Field) else name
                deeper = paths_to_secrets(other, depth - 1, f"{before}{name}__", (*came_by, model))
                found += deeper
    return found


def told(answer):
    """What an answer tells apart from the question: status and, where rows are listed, how many."""
    listed = answer.context.get("cl") if answer.context is not None else None
    return answer.status_code, listed and listed.result_count


def test_no_admin_list_answers_a_guess_about_a_hidden_value(worlds, size):
    asked, leaks = 0, []
    browser = cells.Caller(worlds, "auditor")
    for model in PAGES:
        page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        paths = sorted(set(paths_to_secrets(model)), key=len)
        for number, path in enumerate(paths if size == "full" else paths[:2]):
            true, false = GUESSES.get(path.rpartition("__")[2], ("%", "x"))
            # Whether a list may be asked by a path hangs on the path: of the long ones, tens of thousands, each is
            # asked by one of the look-ups in turn.
            is_short = path.count("__") <= SHORT
            for lookup in LOOKUPS if is_short else LOOKUPS[number % len(LOOKUPS) :][:1]:
                answers = [told(browser.ask("GET", page, {path + lookup: guess})) for guess in (true, false)]
                asked += 2
                if answers[0] != answers[1] or answers[0][0] == 200:
                    leaks.append(f"{page}?{path}{lookup}: {answers}")
    figure("P11", f"{asked} guesses by look-up in the admin: {len(leaks)} bits")
    assert asked > 100 and leaks == []


def test_no_search_finds_a_row_by_a_hidden_value(worlds, size):
    """Whole phone numbers, ends of them, masks and blind indexes, in the search of every list and everywhere.

    A list searches in the same fields for whoever looks; so CI asks all of it as the auditor, who sees every row, and
    a whole number and the name of a stranger's as those who see some.
    """
    with scope.within(scope.EVERYTHING):
        key = BuyerKey.objects.get(masked="139****6639")
    terms = [PHONES["qTHEIRS"], STAFF_PHONES["qTHEIRS"], "6639", key.masked, bytes(key.hmac).hex(), "qTHEIRS"]
    searched = [model for model in PAGES if admin.site._registry[model].search_fields]
    asked, found = 0, []
    for role in ("store_manager", "region_manager", "franchise_owner", "auditor"):
        browser = cells.Caller(worlds, role)
        for model in searched:
            page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
            narrow = terms if size == "full" else [terms[0], terms[-1]]
            for term in terms[:-1] if role == "auditor" else narrow:
                status, count = told(browser.ask("GET", page, {"q": term}))
                asked += status == 200
                if status == 200 and count:
                    found.append(f"{role} {page} {term}")
    figure("P11", f"{asked} searches for hidden values: {len(found)} bits")
    assert asked > 200 and found == []


@pytest.mark.parametrize("name", ["13812345678", "138 1234 5678", "wx 138-1234.5678", "１３８１２３４５６７８"])
def test_a_number_given_as_a_name_is_neither_shown_nor_spelled_out(worlds, name):
    with scope.within(scope.EVERYTHING):
        member = worlds.theirs.rows[Member]
        Member.objects.filter(pk=member.pk).update(name=name)
    browser = cells.Caller(worlds, "auditor")
    page = browser.ask("GET", f"/admin/members/member/{member.pk}/change/").content.decode()
    assert name not in page and "138****5678" in page.replace("１３８", "138").replace("５６７８", "5678")

    for term in (name, name[:6], "1381", "5678", "138 1"):
        for address in ("members/member", "members/membership", "clerks/binding", "clerks/friend"):
            assert told(browser.ask("GET", f"/admin/{address}/", {"q": term})) in ((200, 0), (200, None)), term
    assert told(browser.ask("GET", "/admin/members/member/", {"q": "老顾客"}))[1]


def test_no_parameter_of_the_api_reaches_a_hidden_value(worlds):
    leaks = []
    for caller in ("store_token", "brand_token"):
        browser = cells.Caller(worlds, caller)
        for name in ("orders", "products", "stores", "staff", "entries"):
            for parameter in (
                *("phone", "ordering", "order_by", "search", "q", "buyer_keys", "staff__phone_key__masked"),
                *("store__name__startswith", "purchase__membership__member__name", "fields", "expand"),
            ):
                answers = {browser.ask("GET", f"/api/v1/{name}/", {parameter: guess}).content for guess in ("13", "x")}
                if len(answers) != 1 or b'"unknown_parameter"' not in answers.pop():
                    leaks.append(f"{name}?{parameter}")
            theirs = {"store": "qTHEIRS-S", "brand": "qTHEIRS-B", "staff": "qTHEIRS-clerk", "code": "qTHEIRS-S"}
            for parameter, code in theirs.items():
                real, made_up = (
                    browser.ask("GET", f"/api/v1/{name}/", {parameter: guess}) for guess in (code, "no-such-code")
                )
                if (real.status_code, real.content) != (made_up.status_code, made_up.content):
                    leaks.append(f"{name}?{parameter}={code}")
    assert leaks == []
