"""P22: a member gets all that is held about them, by two persons, in a file that is dead after a day."""

import io
import json
import threading
import zipfile
from datetime import date, timedelta

import pytest
from django.apps import apps
from django.db import connection

from clerks import book
from clerks.models import Note
from members import consent, identity
from members.models import Identity, Member, Stop
from members.rights import corrections
from retail import approvals, dossier, erasure, exports, intake, jobs, privacy, retention, scope, shapes, tasks
from retail.models import AuditRow, BuyerKey, ExportFile, Job, Post
from tests.factories import NOW, user, world
from tests.signing_in import signed_in

PHONE, NAME, WHY = "15400007777", "欧阳女士", "本人来信要求"


@pytest.fixture
def shop(everything):
    shop = world(corp="ww1")
    shop.hire("A1")
    return shop


def buyer(number: str = PHONE) -> tuple[shapes.Buyer, ...]:
    return (shapes.Buyer("phone", number),)


@pytest.fixture
def member(shop) -> Member:
    """Somebody who bought and gave one piece back, looked at something, and of whom a clerk made a note."""
    order = shop.order(serving_clerk="A1", buyer=buyer(), lines=[{}, {"paid_fen": 5000}])
    shop.settle(order)
    shop.refund(order, line="2", qty=1)
    member = Identity.objects.get().member
    Member.objects.update(name=NAME, born_on=date(1986, 5, 4))
    event = shapes.Event(channel=shop.pos.code, outer_event_id="E1", type="cart", at=NOW, buyer=buyer())
    intake.take_events(channel=shop.pos, data=[event], now=NOW)
    words = [consent.Word(member.pk, "ww1", "marketing", False, NOW, "v3")]
    consent.note(words=words, source="feed", now=NOW)
    Note.objects.create(
        brand=shop.brand, member=member, staff=shop.staff["A1"], store=shop.store, text="喜欢红色", created_at=NOW
    )
    return member


@pytest.fixture
def people(shop):
    from retail.desk import roles

    made = {}
    for role in (Post.Role.HQ_OPS, Post.Role.HQ_FINANCE, Post.Role.STORE_MANAGER):
        staff = shop.hire(f"P-{role}", role=role)
        staff.user = user()
        staff.save()
        roles.grant(user=staff.user, role=role)
        made[role] = signed_in(staff.user)
    return made


def act(client, address: str, **said: str):
    return client.post(f"/admin/{address}/", {"_form_submitted": "True", **said})


# ── What is held ─────────────────────────────────────────────────────────────────────────────────────────────────────
def test_all_that_is_held_is_told_and_nothing_of_others(shop, member):
    shop.settle(shop.order(serving_clerk="A1", buyer=buyer("15400008888"), outer_order_id="OTHER-1"))
    told = {section.title: section.rows for section in dossier.collect(member=member)}
    assert told["会员"][0]["称呼"] == NAME and told["会员"][0]["生日"] == "1986-05-04"
    assert PHONE in told["会员标识"][0]["标识"]
    assert [row["实付"] for row in told["订单行"]] == ["¥100.00", "¥50.00"]
    assert len(told["退款"]) == len(told["订单"]) == 1 and told["会员行为"][0]["类型"] == "加购"
    assert told["同意记录"][0]["条款版本"] == "v3" and told["不要联系"] and told["顾客备注"][0]["备注"] == "喜欢红色"
    assert "OTHER-1" not in str(told) and "15400008888" not in str(told)


def test_every_table_that_names_a_member_is_told_or_left_out_for_a_reason():
    labels = {model._meta.label for model in apps.get_models() if dossier.ways(model)}
    assert dossier.LEFT_OUT.keys() <= labels, "what is left out is there"
    assert {"retail.Order", "members.Event", "members.CouponMove", "clerks.Note"} <= labels


# ── By two ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_two_persons_agree_and_only_the_asker_gets_the_file_for_a_day(shop, member, people):
    ops, finance, manager = people.values()
    page = f"members/member/{member.pk}/take_out"
    assert act(manager, page, reason=WHY).status_code == act(finance, page, reason=WHY).status_code == 403
    act(ops, page, reason=f"{NAME} 来信")
    assert not ExportFile.objects.exists(), "a reason that says who it is stays nowhere"
    for _twice in range(2):
        act(ops, page, reason=WHY)
    approval = approvals.Approval.objects.get()
    assert act(finance, f"retail/approval/{approval.pk}/agree").status_code == 200
    jobs.run(ids=list(Job.objects.pending().values_list("pk", flat=True)), registry=tasks.REGISTRY)
    file = ExportFile.objects.get()
    assert PHONE.encode() not in bytes(file.sealed)

    download = f"/admin/retail/exportfile/{file.pk}/download/"
    assert finance.post(download).status_code == 404
    content = b"".join(ops.post(download).streaming_content)
    with zipfile.ZipFile(io.BytesIO(content)) as made:
        assert PHONE in made.read("会员资料.txt").decode()
        assert json.loads(made.read("member.json"))["会员"][0]["称呼"] == NAME
    acts = AuditRow.objects.filter(action__in=["approval.ask", "approval.approve", "export.download"])
    assert acts.count() == 3
    retention.forget(now=file.made_at + timedelta(days=1, minutes=1))
    assert ExportFile.objects.get().sealed is None


# ── Put right ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_correction_leaves_which_and_why_in_the_journal_and_no_value(shop, member, people):
    ops, finance, _manager = people.values()
    page = f"members/member/{member.pk}/correct"
    assert act(finance, page, name="欧阳芳", reason=WHY).status_code == 403
    act(ops, page, name="欧阳芳", born_on="1986-05-05", phone="154 0000 9999", reason=WHY)
    row = Member.objects.get(pk=member.pk)
    assert (row.name, row.born_on) == ("欧阳芳", date(1986, 5, 5))
    key = Identity.objects.get(member=member).key
    assert privacy.reveal(key) == "15400009999"
    said = AuditRow.objects.get(action="member.correct")
    assert said.after == {"fields": ["name", "born_on", "phone"], "key": key.pk} and said.reason == WHY
    assert "欧阳" not in str(said.__dict__) and "154" not in str(said.before)
    later = shop.order(serving_clerk="A1", buyer=buyer())
    shop.settle(later)
    assert Identity.objects.get(key__masked="154****7777").member != member, "the old number is somebody else's"


def test_a_number_of_somebody_else_or_of_somebody_forgotten_is_refused(shop, member):
    shop.settle(shop.order(serving_clerk="A1", buyer=buyer("15400008888")))
    said = {"member": member, "by": None, "reason": WHY, "now": NOW}
    with pytest.raises(corrections.Refused, match="请先看看是不是同一个人"):
        corrections.correct(**said, phone="15400008888")
    gone = privacy.keep([privacy.Known("phone", "", "15400006666")]).popitem()[1]
    privacy.erase(key_id=gone, by=None, reason=WHY, now=NOW)
    for phone, match in (("15400006666", "要求过抹去"), ("abc", "手机 11 位"), ("15400005555", "后四位")):
        if match == "后四位":
            second = privacy.keep([privacy.Known("phone", "", "15400004444")])
            Identity.objects.create(member=member, key_id=second.popitem()[1], source="x", seen_at=NOW)
        with pytest.raises(corrections.Refused, match=match):
            corrections.correct(**said, phone=phone)
    for wrong in ({"phone": "1540000555"}, {"born_on": date(2090, 1, 1)}):
        with pytest.raises(corrections.Refused, match=r"没有这样的手机号|没有这样的生日"):
            corrections.correct(**said, **wrong)
    corrections.correct(**said, phone="15400005555", tail="4444")
    assert not list(book.otherwise(member_ids=[member.pk]))
    masks = BuyerKey.objects.filter(identity__member=member).values_list("masked", flat=True)
    assert set(masks) == {"154****7777", "154****5555"}


# ── Left alone ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_manager_writes_a_wish_down_and_takes_it_back(shop, member, people):
    Stop.objects.all().update(lifted_at=NOW)
    _ops, finance, manager = people.values()
    page = f"members/member/{member.pk}"
    assert act(finance, f"{page}/leave_alone", purpose="").status_code == 403
    act(manager, f"{page}/leave_alone", purpose="")
    act(manager, f"{page}/leave_alone", purpose="marketing", channel="sms", said="打客服电话要求的")
    stop, sms = Stop.objects.filter(lifted_at=None).order_by("pk")
    assert (stop.corp, stop.purpose, sms.channel, sms.purpose) == ("ww1", "", "sms", "marketing")
    shown = manager.get(f"/admin/{page}/change/").content.decode()
    assert "不要再联系" in shown and "不要发优惠短信" in shown
    assert "打客服电话要求的" in manager.get(f"/admin/members/stop/{sms.pk}/change/").content.decode()
    assert "不要再联系" not in manager.get("/admin/members/stop/?channel=sms").content.decode()
    act(manager, f"members/stop/{stop.pk}/lift")  # on nobody's word
    assert Stop.objects.filter(lifted_at=None).count() == 2
    act(manager, f"members/stop/{stop.pk}/lift", said="到店当面说的")
    assert Stop.objects.get(lifted_at=None) == sms
    assert "到店当面说的" in manager.get(f"/admin/members/stop/{stop.pk}/change/").content.decode()


def test_a_number_goes_to_a_company_only_with_consent_and_a_later_no_counts(shop, member):
    from tests.factories import franchisee

    company = franchisee()
    ask = {"member_id": member.pk, "company_id": company.pk}
    assert not consent.shares_phone(**ask)
    for day, is_given in ((1, True), (2, False)):
        word = consent.Word(member.pk, "ww1", "phone", is_given, NOW + timedelta(days=day), "", company.pk)
        consent.note(words=[word], source="feed", now=NOW)
        assert consent.shares_phone(**ask) is is_given
    met = identity.persons([member.pk])[member.pk]
    assert met == (member.pk,)


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return cursor.rowcount > 0


# ── At once ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.django_db(transaction=True)
def test_who_is_forgotten_while_their_file_is_written_is_in_no_file(monkeypatch):
    with scope.within(scope.EVERYTHING):
        shop = world()
        shop.settle(shop.order(buyer=buyer()))
        Member.objects.update(name=NAME)
        member, asker = Member.objects.get(), user(is_superuser=True)
        asked = {"model": "members.member", "format": "zip", "ids": [member.pk], "count": 1, "asked_at": NOW}
        row = ExportFile.objects.create(**asked, asked_by=asker, reason=WHY)

        def forget():
            erasure.erase(member=member, by=None, reason=WHY, now=NOW)
            connection.close()

        meanwhile = threading.Thread(target=forget)

        def write(out, _row):
            meanwhile.start()
            while meanwhile.is_alive() and not _somebody_waits():
                meanwhile.join(timeout=0.02)
            out.write(NAME.encode())

        monkeypatch.setitem(exports.WRITERS, "zip", write)
        exports.make(export_id=row.pk, now=NOW)
        meanwhile.join()
        row.refresh_from_db()
        assert (row.sealed, row.empty_because) == (None, ExportFile.Because.FORGOTTEN)
