"""P22: after an erasure nothing of the person is left in any table but the suppression; orders and money stay."""

import io
from datetime import timedelta
from itertools import chain
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from clerks import book
from clerks.materials import openings, shares, viewers
from clerks.materials.models import Opening, Share, Visitor
from clerks.models import Customer, Friend, Note, Notice
from commissions.models import Entry
from members import behaviour, consent, identity
from members import erasure as members_erasure
from members.models import Consent, Event, Identity, Member, MemberImport, Membership, PointsAdjustment, Stop, TierMove
from retail import approvals, audit, erasure, intake, jobs, privacy, rotation, shapes, tasks
from retail.imports import members
from retail.models import AuditRow, Employment, ExportFile, Job, Order, Post, Staff, Suppression, User
from retail.wecom import inbox, outbox
from retail.wecom.models import Call, Message
from tests.factories import LONG_AGO, NOW, sharing, user, wecom, world
from tests.figures import figure
from tests.signing_in import signed_in

READING = "ouyangshaobing"
NAME, PHONE, CARD = "欧阳哨兵", "13912345678", "VIP-SENTINEL-77"
WM = "wmSENTINELxxxxxxxxxxxxxxxxxxxxxx"
BORN = "1987-05-04"
MARKS = [NAME, PHONE, BORN, "139****5678", CARD, privacy.mask("card", CARD), WM, privacy.mask("external_userid", WM)]
WHY = "本人来信要求"


def everything_written() -> str:
    """Every row of every table as text, and what every sealed value says."""
    said = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT to_jsonb(t)::text FROM "{table}" t')
            said += [row for (row,) in cursor.fetchall()]
        for column in rotation.columns():
            rows = column.model._base_manager.exclude(**{column.name: None})
            said += [privacy.opened(row, column.name).decode() for row in rows]
    return "\n".join(said)


def left() -> list[str]:
    written = everything_written()
    return [mark for mark in MARKS if mark in written]


@pytest.fixture
def shop(everything):
    shop = world(corp="ww1")
    shop.hire("A1")
    shop.plan({"id": "r", "calc": {"type": "rate", "ppm": 30000}, "split": [{"role": "serve", "weight": 1}]})
    return shop


def export(order: Order, text: str, by: User | None = None) -> ExportFile:
    """A file with this order in it."""
    file = ExportFile.objects.create(
        model="retail.order", format="csv", ids=[order.pk], count=1, reason="x", asked_by=by or user(), asked_at=NOW,
        made_at=NOW, expires_at=NOW + timedelta(days=1),
    )  # fmt: skip
    file.sealed = privacy.sealed_in(file, "sealed", text.encode())
    file.save()
    return file


def told(shop, member: Member) -> None:
    """They looked at something before and after we knew them, allowed this and not that, and stand in a list."""
    buyer = (shapes.Buyer("phone", PHONE),)
    said = {"channel": shop.pos.code, "type": "view", "at": NOW, "buyer": buyer, "sku": shop.product.sku}
    intake.take_events(channel=shop.pos, data=[shapes.Event(outer_event_id="E1", **said)], now=NOW)
    keys = [privacy.BuyerKey.objects.get(type="card").pk]
    seen = behaviour.Seen("E2", NOW, "view", shop.brand.pk, tuple(keys))
    behaviour.keep(channel_id=shop.pos.pk, events=[seen], now=NOW)
    Event.objects.filter(outer_event_id="E2").update(member=None)
    words = [consent.Word(member.pk, "ww1", purpose, purpose == "phone", NOW) for purpose in ("marketing", "phone")]
    consent.note(words=words, source="feed", now=NOW)
    content = f"手机号,姓名,生日\n{PHONE},{NAME},{BORN}\nx,{NAME},\n".encode()
    given = members.give_in(name="list.csv", content=content, brand=shop.brand, by=None, now=NOW)
    members.check(given=given, now=NOW, is_here=True)
    members.work(import_id=given.pk, now=lambda: NOW)
    opened(shop, member)


def opened(shop, member: Member) -> None:
    """A clerk sent them a link, and they looked at it before and after we knew whose browser it was."""
    post, version = shop.staff["A1"].posts.get(), sharing.material(shop, kind="product")
    share = shares.make(post=post, version=version, via="chat", now=LONG_AGO, member_id=member.pk)
    visitor = uuid4()
    openings.write(row=openings.Row(NOW, share.pk, visitor))
    viewers.recognise(visitor=visitor, member_id=member.pk, now=NOW)
    openings.write(row=openings.Row(NOW, share.pk, visitor, member.pk))


@pytest.fixture
def member(shop) -> Member:
    """Somebody who bought, is a friend in WeCom, was looked at, told of, and failed in a job."""
    buyer = [shapes.Buyer("phone", PHONE), shapes.Buyer("card", CARD), shapes.Buyer("external_userid", WM)]
    shop.settle(shop.order(serving_clerk="A1", buyer=tuple(buyer)))
    member = Identity.objects.get(key__type="phone").member
    Member.objects.filter(pk=member.pk).update(name=NAME, born_on=BORN)
    told(shop, member)
    phone = privacy.BuyerKey.objects.get(type="phone")
    privacy.unmask(key=phone, about=member, by=user(), reason=f"来电 {PHONE} 核对", now=NOW)
    key = privacy.BuyerKey.objects.get(type="external_userid")
    standing = Membership.objects.get(member=member)
    PointsAdjustment.objects.create(membership=standing, points=1, reason=f"{NAME} 投诉", at=NOW)
    TierMove.objects.create(membership=standing, cause="manual", reason=f"{NAME} 是老顾客", at=NOW)
    friend = Friend.objects.create(
        corp="ww1", userid="a1", key=key, member=member, staff=shop.staff["A1"], tags=["et1"]
    )
    notice = Notice.objects.create(
        staff=shop.staff["A1"],
        kind="told",
        title=NAME,
        text=f"{NAME} 加了您",
        friend=friend,
        effect="e",
        created_at=NOW,
    )
    Note.objects.create(
        brand=shop.brand,
        member=member,
        staff=shop.staff["A1"],
        store=shop.store,
        text=f"{NAME} 爱旗袍",
        created_at=NOW,
    )
    book.refresh(member_ids=[member.pk], now=NOW)
    app = wecom.app(slug="demo", corp_id="ww1")
    for change in ("add", "edit"):
        xml = f"<xml><Event>x</Event><ExternalUserID>{WM}</ExternalUserID><C>{change}</C></xml>".encode()
        inbox.store(app=app, xml=xml, now=NOW)
    for key, body in (
        (f"notice:{notice.pk}", {"t": NAME}),
        (f"notice:{notice.pk}:2", {"t": NAME}),
        ("x", {"w": [WM]}),
    ):
        outbox.put(app=app, path="message/send", body=body, key=key, now=NOW)
    export(Order.objects.latest("pk"), NAME)
    Job.objects.create(kind="x", state="dead", created_at=NOW, due_at=NOW, last_error=f"bad buyer 139****5678 {PHONE}")
    Job.objects.update(last_error="bad buyer 139****5678")
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


def money():
    return [list(model._base_manager.order_by("pk").values()) for model in (Order, Entry)]


def test_nothing_of_the_person_is_left_in_any_table(shop, member):
    assert set(left()) >= {NAME, PHONE, "139****5678", CARD, WM}, "the search finds them"
    assert READING in everything_written() and Customer.objects.get().tails
    before, others = money(), Message.objects.count()

    gone = erasure.erase(member=member, by=None, reason=WHY, now=NOW)

    assert left() == [] and READING not in everything_written()
    assert Customer.objects.get().tails == "" and list(book.otherwise()) == []
    assert gone == erasure.Erased(identities=3, messages=2, calls=3, notices=1, lists=1)
    assert money() == before and Message.objects.count() == others
    assert Suppression.objects.count() == 3
    assert set(Event.objects.values_list("outer_event_id", "member")) == {("E1", None), ("E2", None)}
    assert list(Opening.objects.values_list("visitor", "member")) == [(None, None)] * 2
    assert not Share.objects.exclude(member=None).exists() and not Visitor.objects.exclude(member=None).exists()
    assert (Consent.objects.count(), Stop.objects.count()) == (2, 3), "what they allowed stays; they are left alone"
    given = MemberImport.objects.get()
    assert (given.content, given.refused, given.counts) == (None, None, {"known": 1, "bad": 1})
    figure("P22", f"{len(MARKS)} sentinels of a member in all tables after the erasure: 0")


def test_others_keep_what_is_theirs(shop, member):
    neighbour = (shapes.Buyer("phone", "13700001111"),)
    shop.settle(shop.order(serving_clerk="A1", buyer=neighbour))
    app = wecom.app(slug="other", corp_id="ww2")
    xml = b"<xml><Event>x</Event><ExternalUserID>wmOTHER</ExternalUserID></xml>"
    inbox.store(app=app, xml=xml, now=NOW)

    erasure.erase(member=member, by=None, reason=WHY, now=NOW)

    assert privacy.BuyerKey.objects.filter(cipher__isnull=False).count() == 1
    assert Message.objects.get(app=app).sealed is not None


def test_files_are_emptied_in_which_the_person_stands_or_may_stand(shop, member, people):
    (theirs,) = ExportFile.objects.all()
    asker = Staff.objects.get(code="P-hq_ops")
    ExportFile.objects.update(asked_by=asker.user)
    neighbour = shop.order(serving_clerk="A1", buyer=(shapes.Buyer("phone", "13700001111"),))
    shop.settle(neighbour)
    others = export(Order.objects.get(outer_order_id=neighbour.outer_order_id), "x", asker.user)
    unknown = export(Order.objects.latest("pk"), "x", asker.user)
    ExportFile.objects.filter(pk=unknown.pk).update(model="retail.refund")

    erasure.erase(member=member, by=None, reason=WHY, now=NOW)

    files = {file.pk: file for file in ExportFile.objects.all()}
    states = [files[one.pk].state_at(NOW) for one in (theirs, others, unknown)]
    assert states == ["emptied", "ready", "emptied"] and left() == []
    page = people["hq_ops"].get(f"/admin/retail/exportfile/{theirs.pk}/change/").content.decode()
    assert "已清空" in page and "有会员要求删除资料" in page
    assert [notice.text for notice in Notice.objects.filter(staff=asker)] == [
        "有会员要求删除资料，这份文件已清空，请重新导出。"
    ] * 2


def test_what_is_left_of_somebody_is_left_alone(shop, member):
    erasure.erase(member=member, by=None, reason=WHY, now=NOW)
    assert not consent.allows(member_id=member.pk, corp=shop.brand.corp, channel="wecom", purpose="service")
    assert consent.unprofiled(member_ids=[member.pk]) == {member.pk}


def test_what_is_told_again_of_the_past_is_not_known_again(shop, member):
    phone = (shapes.Buyer("phone", PHONE),)
    bought = shop.order(serving_clerk="A1", buyer=phone)
    erasure.erase(member=member, by=None, reason=WHY, now=NOW + timedelta(days=1))

    shop.settle(bought)

    assert left() == []
    shop.settle(shop.order(serving_clerk="A1", buyer=phone, paid_at=NOW + timedelta(days=2)))
    (known,) = privacy.BuyerKey.objects.filter(cipher__isnull=False)
    assert privacy.reveal(known) == PHONE and privacy.are_suppressed([known.pk])


def test_what_the_command_did_nobody_has_to_decide(shop, member, people):
    page = f"/admin/members/member/{member.pk}/erase/"
    people["hq_ops"].post(page, {"_form_submitted": "True", "reason": WHY})

    erasure.erase(member=member, by=None, reason=WHY, now=NOW)

    approval = approvals.Approval.objects.get()
    assert (approval.state, approval.answer) == ("lapsed", "已经另行抹去。")
    said = people["hq_finance"].get(f"/admin/retail/approval/{approval.pk}/change/").content.decode()
    assert "已作废" in said and "agree/" not in said


def test_the_merged_are_the_same_person(shop, member):
    dropped = Member.objects.create(name=NAME, created_at=NOW, merged_into=member)

    erasure.erase(member=dropped, by=None, reason=WHY, now=NOW)

    assert left() == []


def test_what_waited_to_be_taken_or_sent_is_left(shop, member):
    erasure.erase(member=member, by=None, reason=WHY, now=NOW)
    ids = list(Job.objects.pending().values_list("pk", flat=True))

    jobs.run(ids=ids, registry=tasks.REGISTRY)

    assert not Job.objects.dead().exclude(kind="x").exists()
    assert set(Call.objects.values_list("state", flat=True)) == {"failed"}
    assert set(Message.objects.values_list("state", flat=True)) == {"ignored"}


def test_who_comes_back_is_somebody_new_without_a_name(shop, member):
    erasure.erase(member=member, by=None, reason=WHY, now=NOW)
    known = privacy.normalised(privacy.Known("external_userid", "ww1", WM))
    fresh = privacy.keep([known])[known]

    again = identity.meet(key_ids={fresh}, name=NAME, at=NOW, source="wecom").member_id

    assert again != member.pk and Member.objects.get(pk=again).name == ""
    other = privacy.keep([privacy.Known("phone", "", "13700002222")]).popitem()[1]
    assert (
        Member.objects.get(pk=identity.meet(key_ids={other}, name="新人", at=NOW, source="wecom").member_id).name
        == "新人"
    )


def test_the_number_of_somebody_who_works_here_is_not_taken_from_them(shop, member):
    phone = privacy.BuyerKey.objects.get(type="phone")
    Staff.objects.filter(code="A1").update(phone_key=phone)

    with pytest.raises(approvals.Refused, match="A1"):
        erasure.erase(member=member, by=None, reason=WHY, now=NOW)
    Employment.objects.update(ends_at=LONG_AGO + (NOW - LONG_AGO) / 2)
    erasure.erase(member=member, by=None, reason=WHY, now=NOW)
    assert left() == []


# ── By two, in the admin ─────────────────────────────────────────────────────────────────────────────────────────────
def test_two_persons_agree_and_a_job_does_it(shop, member, people):
    page = f"/admin/members/member/{member.pk}/erase/"
    ops, finance, manager = people.values()
    assert manager.post(page, {"_form_submitted": "True", "reason": WHY}).status_code == 403
    assert finance.post(page, {"_form_submitted": "True", "reason": WHY}).status_code == 403

    assert "reason" in ops.post(page, {"_form_submitted": "True", "reason": ""}).content.decode()
    assert not approvals.Approval.objects.exists()
    ops.post(page, {"_form_submitted": "True", "reason": WHY})
    approval = approvals.Approval.objects.get()
    assert NAME not in str(approval.__dict__) and left() != []
    agree = f"/admin/retail/approval/{approval.pk}/agree/"
    assert ops.post(agree, {"_form_submitted": "True"}).status_code == 403
    assert finance.post(agree, {"_form_submitted": "True"}).status_code == 200
    ids = list(Job.objects.pending().filter(kind=erasure.JOB).values_list("pk", flat=True))
    assert jobs.run(ids=ids, registry=tasks.REGISTRY) == 1

    assert left() == []
    acts = AuditRow.objects.filter(action__in=["approval.ask", "approval.approve", "erase"], target_type__in=[
        "retail.approval", "members.member"]).order_by("pk")  # fmt: skip
    assert [(row.action, row.reason) for row in acts] == [
        ("approval.ask", WHY), ("approval.approve", WHY), ("erase", WHY)
    ]  # fmt: skip
    assert "****" in ops.get("/admin/retail/auditrow/?action=unmask").content.decode()
    again = ops.post(page, {"_form_submitted": "True", "reason": WHY}, follow=True)
    assert again.status_code == 200 and approvals.Approval.objects.count() == 1


# ── On the server ────────────────────────────────────────────────────────────────────────────────────────────────────
def run(*args: str, typed: str = "", monkeypatch) -> str:
    answers = iter(typed.split())
    monkeypatch.setattr("builtins.input", lambda _prompt="": next(answers))
    said = io.StringIO()
    call_command("erase", *args, "--reason", WHY, stdout=said)
    return said.getvalue()


def test_the_command_asks_for_the_phone_and_once_more(shop, member, monkeypatch):
    with pytest.raises(CommandError, match="Nothing was erased"):
        run(typed=f"{PHONE} no", monkeypatch=monkeypatch)
    assert NAME in left()

    assert "is erased: 3 identities" in run(typed=f"{PHONE} {member.pk}", monkeypatch=monkeypatch)

    assert left() == []
    assert "was erased before" in run(str(member.pk), "--yes", monkeypatch=monkeypatch)
    for wrong, match in (("13700009999", "Nobody is known"), ("x", "phone")):
        with pytest.raises(CommandError, match=match):
            run(typed=wrong, monkeypatch=monkeypatch)
    with pytest.raises(CommandError, match="no member 0"):
        run("0", "--yes", monkeypatch=monkeypatch)


def test_the_whole_of_a_person(shop, member):
    second = Member.objects.create(created_at=NOW, merged_into=member)
    third = Member.objects.create(created_at=NOW, merged_into=second)

    assert set(members_erasure.person(third).member_ids) == {member.pk, second.pk, third.pk}
    assert len(list(chain(members_erasure.person(third).keys))) == 3


def test_a_reason_in_the_journal_holds_no_number(everything):
    row = audit.record(by=None, action="unmask", target=Member, now=timezone.now(), reason=f"顾客 {PHONE} 来电")

    assert row.reason == "顾客 **** 来电"


@pytest.mark.parametrize("reason", ["", f"{NAME} 来信要求", f"号码 {PHONE} 的顾客要求"])
def test_the_reason_does_not_keep_what_is_to_be_forgotten(member, reason):
    with pytest.raises(approvals.Refused, match="原因"):
        erasure.erase(member=member, by=None, reason=reason, now=NOW)

    assert Member.objects.get(pk=member.pk).name == NAME
