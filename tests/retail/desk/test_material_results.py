"""素材效果 on its page: for the reader's own stores, by material, clerk, store and scene, and as a file."""

from datetime import timedelta

import pytest
import time_machine

from clerks.materials import results
from clerks.materials.models import ShareDay
from retail import scope
from retail.desk import roles
from retail.models import ExportFile
from retail.shapes import Buyer
from tests import factories, signing_in
from tests.factories import NOW, World, sharing

PAGE = "/admin/materials/results/"
LIST = "/admin/materials/shareday/"
PHONE = (Buyer("phone", "13800005678"),)


@pytest.fixture(autouse=True)
def clock():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def shop(db):
    """Two stores share two materials; one of them sold for 100 yuan, of which 40 came back."""
    with scope.within(scope.EVERYTHING):
        shop = factories.world()
        far = shop.another_store()
        shop.hire("A1")
        shop.hire("F1", store=far)
        shop.hire("M1", role="store_manager")
        shop.hire("H1", role="hq_ops")
        look = sharing.material(shop, "=秋冬新款画册", scene="new")
        live = sharing.material(shop, "周五直播", scene="live")
        ours = sharing.share(look, shop.staff["A1"], shop.store, at=NOW, sent_at=NOW)
        sharing.share(live, shop.staff["A1"], shop.store, at=NOW - timedelta(days=40))
        theirs = sharing.share(look, shop.staff["F1"], far, at=NOW - timedelta(days=3))
        for link in (ours, ours, theirs):
            sharing.opening(link, at=NOW - timedelta(hours=1))
        sale = shop.order(buyer=PHONE, share_code=ours.code)
        shop.settle(sale)
        shop.refund(sale, fen=4_000)
        results.roll_up(days=results.changed_since(None, now=NOW), now=NOW)
        shop.look, shop.far = look.material, far
        yield shop


def desk(shop: World, code: str):
    staff = shop.staff[code]
    staff.user = factories.user()
    staff.save()
    roles.grant(user=staff.user, role=staff.posts.get().role)
    return signing_in.signed_in(staff.user, post=staff.posts.get())


def page(client, query: str = ""):
    answer = client.get(PAGE + query)
    assert answer.status_code == 200, answer.status_code
    return answer


def named(answer) -> dict[str, tuple[int, int, int]]:
    return {row.name: (row.result.shares, row.result.viewers, row.result.sales_fen) for row in answer.context["page"]}


def test_what_headquarters_and_a_manager_see(shop: World) -> None:
    hq, manager = (desk(shop, code) for code in ("H1", "M1"))
    store, far = str(shop.store), str(shop.far)

    assert named(page(hq)) == {"=秋冬新款画册": (2, 3, 6_000)}
    assert named(page(hq, "?days=90&sort=shares")) == {"周五直播": (1, 0, 0), "=秋冬新款画册": (2, 3, 6_000)}
    assert named(page(hq, "?by=store")) == {store: (1, 2, 6_000), far: (1, 1, 0)}
    assert named(page(hq, "?by=scene&days=90")) == {"新款": (2, 3, 6_000), "直播": (1, 0, 0)}
    assert named(page(hq, "?from=2026-10-12&to=2026-10-12&by=clerk")) == {
        "员工A1 A1": (1, 2, 6_000),
        "员工F1 F1": (0, 1, 0),
    }
    assert [row.name for row in page(hq, f"?material={shop.look.pk}&by=clerk").context["page"]] == [
        "员工A1 A1",
        "员工F1 F1",
    ]
    text = page(hq).content.decode()
    assert "7 天内成交" in text and "¥60.00" in text and "150%" in text

    assert named(page(manager)) == {"=秋冬新款画册": (1, 2, 6_000)}
    assert named(page(manager, "?by=store")) == {store: (1, 2, 6_000)}
    assert "还没有人分享素材" in page(manager, "?from=2026-01-01&to=2026-01-02").content.decode()


@pytest.mark.parametrize(
    "query",
    ["?days=8", "?by=x", "?sort=pk", "?from=x", "?from=2026-10-02&to=2026-10-01", "?from=0001-01-01", "?store=99999"],
)
def test_what_it_does_not_know_is_not_there(shop: World, query: str) -> None:
    assert desk(shop, "H1").get(PAGE + query).status_code == 404


def test_it_is_taken_away_as_a_file_in_which_nothing_is_a_formula(shop: World) -> None:
    hq, manager = (desk(shop, code) for code in ("H1", "M1"))
    ids = list(ShareDay._base_manager.values_list("pk", flat=True))
    wanted = {"action": "export_csv", "_selected_action": ids, "select_across": "0", "index": "0"}

    assert len(hq.get(f"{LIST}?{page(hq).context['asked'].listed}").context["cl"].result_list) == 3
    said = b"".join(hq.post(LIST, wanted)).decode()
    assert said.count("\n") == 5 and "'=秋冬新款画册" in said and "60.00" in said
    assert "'=秋冬" not in manager.post(LIST, wanted, follow=True).content.decode()

    with scope.within(scope.EVERYTHING):
        row = ShareDay.objects.first()
        ShareDay.objects.bulk_create(
            ShareDay(day=NOW.date() - timedelta(days=100 + n), brand=row.brand, material=row.material, staff=row.staff,
                     store=row.store) for n in range(500)
        )  # fmt: skip
        ids = list(ShareDay.objects.values_list("pk", flat=True))
    answer = hq.post(LIST, wanted | {"_selected_action": ids})
    assert "要另一个人同意" in answer.content.decode() and not ExportFile._base_manager.exists()
