"""Worlds beside each other, each with a mark in every text that can hold one.

`ours` and `theirs` are two brands with everything of their own. `beside` is of our brand, but another region, company
and store. A few people belong to several worlds and carry no mark: what is seen of them must still be our part only.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from axes.models import AccessAttempt
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import Model
from django_celery_beat.models import CrontabSchedule

from clerks import oneid, policies
from clerks.leads.models import Holdout, IntentModel, Lead, LeadPolicy, LeadRun, Score
from clerks.materials import models as library
from clerks.models import (
    Binding,
    Broadcast,
    ChatTransfer,
    ContactWay,
    CorpTag,
    Customer,
    Department,
    Friend,
    FriendMove,
    FriendTransfer,
    Greeting,
    GroupChat,
    GroupChatMember,
    Handover,
    HandoverRow,
    HelpRequest,
    Merge,
    Note,
    Notice,
    PastPolicy,
    Policy,
    Pooled,
    PoolPolicy,
    Rival,
    Shift,
    SyncRun,
    TagWish,
    Tie,
    Touch,
    TurnedAway,
    Welcome,
    WelcomePart,
)
from commissions.models import (
    ActionEvent,
    ActionRate,
    Attained,
    Attainment,
    AttainmentStep,
    BuyerSnapshot,
    ClaimRow,
    CompanyAccount,
    CompanyLeg,
    CountMark,
    Dispute,
    DisputeStep,
    Entry,
    Guarantee,
    PayCycle,
    Payout,
    PayoutBatch,
    PayTerms,
    Period,
    Plan,
    PlanCase,
    PlanVersion,
    Rule,
    Run,
    RunFigure,
    Share,
    Statement,
    Target,
)
from members import behaviour, coupons
from members.models import (
    Consent,
    Coupon,
    CouponIssue,
    CouponMove,
    CouponQuota,
    CouponSkip,
    CouponType,
    CouponUse,
    Doubt,
    Event,
    Identity,
    Member,
    MemberImport,
    Membership,
    MemberTag,
    PointsAdjustment,
    PointsEntry,
    PointsRule,
    Profile,
    Purchase,
    Segment,
    SegmentMember,
    SegmentMove,
    SegmentSize,
    Stop,
    Tag,
    Tier,
    TierMove,
    TierRule,
)
from retail import audit, jobs, privacy, shapes
from retail.api import tokens
from retail.approvals import Approval
from retail.desk import roles
from retail.models import (
    ApiToken,
    AuditRow,
    Brand,
    Category,
    Channel,
    Employment,
    ExportFile,
    Franchisee,
    Job,
    Order,
    OrderLine,
    OrderVersion,
    Post,
    Product,
    Refund,
    RefundVersion,
    Region,
    Staff,
    StaffAccount,
    Store,
    StoreGroup,
    User,
)
from retail.wecom import inbox, outbox
from retail.wecom.models import App, Call, Media, Message
from tests.factories import LONG_AGO, NOW, World, add_rule, materials, wecom
from tests.factories import posters as poster_scene

SPLIT = [{"role": "serve", "weight": 6}, {"role": "bound", "weight": 3}, {"role": "manager", "weight": 1}]
PHONES = {"qOURS": "13800004417", "qBESIDE": "13700005528", "qTHEIRS": "13900006639"}
STAFF_PHONES = {"qOURS": "15800001174", "qBESIDE": "15700002285", "qTHEIRS": "15900003396"}
PLACED = {
    "clerk": "store",
    "ex_clerk": "store",
    "store_manager": "store",
    "region_manager": "region",
    "franchise_owner": "franchisee",
    "hq_ops": "",
    "hq_finance": "",
    "auditor": "",
}


@dataclass
class Part:
    """One world: its mark, its factory, one row of each model, an account per role."""

    mark: str
    world: World
    rows: dict[type[Model], Model] = field(default_factory=dict)
    accounts: dict[str, User] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    colleagues: dict[type[Model], Model] = field(default_factory=dict)  # rows of the clerk's store, not the clerk's

    @property
    def sentinels(self) -> list[str]:
        phones = (PHONES[self.mark], STAFF_PHONES[self.mark])
        return [self.mark, *phones, *(privacy.mask("phone", phone) for phone in phones)]


@dataclass
class Worlds:
    ours: Part
    beside: Part
    theirs: Part


def build() -> Worlds:
    """To be called within EVERYTHING."""
    ours = _part("qOURS")
    beside = _part("qBESIDE", brand=ours.world)
    theirs = _part("qTHEIRS")
    parts = (ours, beside, theirs)
    _between(*parts)
    CrontabSchedule.objects.create(minute="7")
    _wecom()
    AccessAttempt.objects.create(username="nobody", failures_since_start=1)
    for part in parts:
        _sample(part)
    return Worlds(*parts)


def _part(mark: str, *, brand: World | None = None) -> Part:
    region = Region.objects.create(code=f"{mark}-R", name=f"{mark}区域")
    company = Franchisee.objects.create(code=f"{mark}-F", name=f"{mark}公司")
    if brand:
        made, product, pos = brand.brand, brand.product, brand.pos
    else:
        made = Brand.objects.create(code=f"{mark}-B", name=f"{mark}品牌", corp=mark)
        category = Category.objects.create(code=f"cat-{len(mark)}-{made.pk}", name=f"品类{made.pk}")
        product = Product.objects.create(
            sku=f"{mark}-P", name=f"{mark}商品", brand=made, category=category, tag_fen=10000
        )
        pos = Channel.objects.create(code=f"{mark}-pos", name=f"{mark}门店", kind="pos", brand=made, corp=mark)
        Tier.objects.create(brand=made, code=f"{mark}-T", name=f"{mark}等级", rank=1)
        TierRule.objects.create(brand=made)
        PoolPolicy.objects.create(brand=made)
        PointsRule.objects.create(brand=made, name=f"{mark}积分规则", starts_on=LONG_AGO.date())
        offer = {"kind": "gift", "gift": f"{mark}礼", "starts_at": LONG_AGO, "per_member": 9}
        CouponType.objects.create(brand=made, code=f"{mark}-CT", name=f"{mark}券", **offer)
    store = Store.objects.create(
        code=f"{mark}-S", name=f"{mark}门店", brand=made, region=region, franchisee=company, city=f"{mark}市"
    )
    StoreGroup.objects.create(code=f"{mark}-G", name=f"{mark}组").stores.add(store)
    part = Part(mark, World(made, region, store, product, pos))
    if not brand:
        _plan(part)
    _people(part, company)
    _trade(part)
    _tokens(part, company)
    return part


def _plan(part: Part) -> None:
    plan = Plan.objects.create(brand=part.world.brand, name=f"{part.mark}方案")
    rule = {
        "id": f"{part.mark}-rule",
        "name": f"{part.mark}规则",
        "calc": {"type": "rate", "ppm": 30000},
        "split": SPLIT,
    }
    part.world.plan(rule, note=f"{part.mark}说明")
    draft = PlanVersion.objects.create(plan=plan, number=9001, note=f"{part.mark}草稿", status="tested")
    add_rule(draft, {**rule, "id": f"{part.mark}-draft"})
    tiers = Attainment.objects.create(version=draft, code=f"{part.mark}-a", name=f"{part.mark}阶梯")
    AttainmentStep.objects.create(attainment=tiers, from_fen=0, ppm=1000)
    PlanCase.objects.create(
        version=draft, code=f"{part.mark}-case", kind="allocate", input={"amount": 1, "weights": [1]}
    )
    friend = ActionRate.objects.create(version=draft, type="friend", fen=100)
    part.rows |= {PlanVersion: draft, Attainment: tiers, ActionRate: friend, Plan: plan}


def _people(part: Part, company: Franchisee) -> None:
    places = {"store": part.world.store, "region": part.world.region, "franchisee": company}
    for role, place in PLACED.items():
        is_gone = role == "ex_clerk"
        there = {place: places[place]} if place in ("region", "franchisee") else {}
        staff = part.world.hire(f"{part.mark}-{role}", role="clerk" if is_gone else role, **there)
        account = User.objects.create(username=f"{part.mark}-u-{role}")
        staff.user = account
        if role == "store_manager":
            known = privacy.Known("phone", "", STAFF_PHONES[part.mark])
            staff.phone_key_id = privacy.keep([known])[known]
        staff.save()
        StaffAccount.objects.create(staff=staff, corp=part.mark, userid=f"{part.mark}-wx-{role}")
        roles.grant(user=account, role="clerk" if is_gone else role)
        if is_gone:
            Employment.objects.filter(staff=staff).update(ends_at=LONG_AGO + timedelta(days=700))
        part.accounts[role] = account


def _sale(part: Part, name: str, **fields: Any) -> shapes.Order:
    usual = {
        "serving_clerk": f"{part.mark}-clerk",
        "buyer": (shapes.Buyer("phone", PHONES[part.mark]),),
        "chat_id": f"{part.mark}-chat",
        "live_event": f"{part.mark}-live",
        "coupons": (f"{part.mark}-coupon",),
        "share_code": f"s-{part.mark}-clerk",
    }
    return part.world.order(**{"outer_order_id": f"{part.mark}-{name}", **usual, **fields})


def _trade(part: Part) -> None:
    """A sale, its correction, a refund and its correction, and work and a journal row of it."""
    sale = _sale(part, "O1")
    part.world.settle(sale)
    part.world.settle(_sale(part, "O1", coupons=(f"{part.mark}-coupon2",)))
    for fen in (100, 200):
        part.world.refund(sale, outer_refund_id=f"{part.mark}-RF1", fen=fen)
    order = Order.objects.get(outer_order_id=f"{part.mark}-O1")
    member = Member.objects.get(memberships__purchases__order=order)
    Member.objects.filter(pk=member.pk).update(name=f"{part.mark}会员")
    tier = Tier.objects.filter(brand=part.world.brand).get()
    Membership.objects.filter(member=member).update(
        tier=tier, registered_store=part.world.store, registered_by=part.world.staff[f"{part.mark}-clerk"]
    )
    work = jobs.Work("settle_order", {"order_id": order.pk, "note": part.mark})
    (job,) = jobs.enqueue(work=[work], now=NOW)
    jobs.Job.objects.filter(pk=job).update(state="dead", last_error=part.mark)
    Approval.objects.create(
        kind="post.grant", target_type="retail.post", target_id=part.mark, before={"岗位": part.mark},
        after={"岗位": part.mark}, reason=part.mark, brand=part.world.brand, store=part.world.store,
        asked_by=part.accounts["auditor"], asked_at=NOW, expires_at=NOW + timedelta(days=7),
    )  # fmt: skip
    ExportFile.objects.create(
        model="retail.order", format="csv", ids=[order.pk], count=1, filter=part.mark, reason=part.mark,
        asked_by=part.accounts["hq_ops"], asked_at=NOW,
    )  # fmt: skip
    audit.record(
        by=part.accounts["hq_ops"], action="change", target=part.world.store, now=NOW,
        before={"name": part.mark}, after={"name": part.mark}, reason=part.mark,
    )  # fmt: skip


def _tokens(part: Part, company: Franchisee) -> None:
    world = part.world
    places = {"store": world.store, "region": world.region, "franchisee": company, "brand": world.brand}
    for name, place in places.items():
        part.tokens[f"{name}_token"] = tokens.issue(name=f"{part.mark}-{name}", can_read=True, **{name: place})[1]
    part.tokens["feed_token"] = tokens.issue(name=f"{part.mark}-feed", channel=world.pos)[1]


def _between(ours: Part, beside: Part, theirs: Part) -> None:
    """Who is of several worlds: a clerk who moved, a customer of all, an order one store sold and another sent."""
    nomad = Staff.objects.create(code="nomad", name="流动员工", share_code="nomad")
    Employment.objects.create(staff=nomad, starts_at=LONG_AGO)
    moves = [LONG_AGO, LONG_AGO + timedelta(days=200), LONG_AGO + timedelta(days=400), None]
    for part, since, until in zip((theirs, beside, ours), moves[:-1], moves[1:], strict=True):
        Post.objects.create(staff=nomad, role="clerk", store=part.world.store, starts_at=since, ends_at=until)
        buyer = (shapes.Buyer("phone", "13011112222"),)
        paid_at = since + timedelta(days=10)
        part.world.settle(_sale(part, "O2", buyer=buyer, serving_clerk="nomad", share_code=None, paid_at=paid_at))
    # Our clerk's customer buys next door: part of the commission is our clerk's, who sees the number of that order.
    buyer = (shapes.Buyer("phone", "13011113333"),)
    ours.world.settle(_sale(ours, "O3", buyer=buyer, share_code=None))
    ours.world.settle(
        _sale(
            ours, "O4", buyer=(shapes.Buyer("phone", "13011114444"),), share_code=None,
            serving_clerk=f"{ours.mark}-store_manager",
        )
    )  # fmt: skip
    later = {"paid_at": NOW + timedelta(minutes=1), "outer_order_id": "next-door", "coupons": ()}
    beside.world.settle(_sale(beside, "O3", **{"buyer": buyer, "share_code": None, **later}))
    Member.objects.filter(name="").update(name="老顾客")


def _wecom() -> None:
    """What belongs to no world: headquarters sees it, with kinds and outcomes and no texts."""
    app = wecom.app(slug="demo")
    xml = wecom.event("ext_contact_add")
    inbox.store(app=app, xml=xml, now=NOW)
    outbox.put(app=app, path="message/send", body={}, key="matrix", now=NOW)
    Media.objects.create(corp_id=app.corp_id, kind="file", name="尺码表.pdf", size=6, made_at=NOW)


def _sample(part: Part) -> None:
    """One row of every model that has rows of this world."""
    world, order = part.world, Order.objects.get(outer_order_id=f"{part.mark}-O1")
    membership = Membership.objects.get(purchases__order=order)
    part.rows |= {
        Order: order,
        Staff: world.staff[f"{part.mark}-clerk"],
        StaffAccount: world.staff[f"{part.mark}-clerk"].accounts.get(),
        User: part.accounts["clerk"],
        Store: world.store,
        Brand: world.brand,
        Region: world.region,
        Member: membership.member,
        Membership: membership,
        Channel: world.pos,
        Product: world.product,
        Category: world.product.category,
        AuditRow: AuditRow.objects.get(reason=part.mark),
        Binding: Binding.objects.get(member=membership.member, brand=world.brand),
        Customer: Customer.objects.get(member=membership.member, brand=world.brand),
    }
    part.rows |= _segment(part, membership)
    for model, found in [*_found(part, order), *_parts(part, order, membership)]:
        part.rows.setdefault(model, found)
    part.rows |= _outreach(part, membership.member, part.rows[Staff]) | _corp(part, membership.member)
    part.rows[Pooled] = _pooled(part)
    clerk = part.rows[Staff]
    for model in (Entry, ClaimRow, Binding, Customer):
        rows = model.objects.filter(store=world.store, staff__isnull=False).exclude(staff=clerk)
        if row := rows.order_by("pk").first():
            part.colleagues[model] = row
    manager = world.staff[f"{part.mark}-store_manager"]
    part.rows |= _intent(part, membership)
    part.rows |= _leads(part, membership.member, clerk, "cart")
    part.colleagues[Lead] = _leads(part, membership.member, manager, "viewed")[Lead]
    part.rows |= _settled(part, clerk)
    part.rows |= _attained(part, order, clerk)
    part.colleagues[Attained] = _attained_by(part, manager)
    part.rows[ActionEvent] = _deed(part, clerk)
    part.colleagues[ActionEvent] = _deed(part, manager)
    part.rows |= _laid_down(part, membership, clerk)
    part.colleagues[TurnedAway] = _laid_down(part, membership, manager)[TurnedAway]
    part.rows |= _issued(part, membership)
    part.rows |= _given(part, membership, clerk)
    part.colleagues |= _given(part, membership, manager)
    # Not before: who wants no contact is given no coupon.
    part.rows[Stop] = Stop.objects.create(member=membership.member, corp=part.mark, at=NOW)
    of_manager = _settled(part, manager)
    part.colleagues |= {model: of_manager[model] for model in (Statement, Payout, Dispute, DisputeStep)}
    part.colleagues |= _outreach(part, membership.member, manager)
    part.rows |= _library(part) | _shared(part, membership.member, clerk, "O1")
    part.colleagues |= _shared(part, membership.member, manager, "O2")
    part.colleagues[Staff] = manager
    part.colleagues[StaffAccount] = part.colleagues[Staff].accounts.get()


def _library(part: Part) -> dict[type[Model], Any]:
    """What clerks of the brand may send; it is the brand's, and no store's."""
    brand, name = part.world.brand, f"{part.world.brand.code}素材"
    category = library.MaterialCategory.objects.get_or_create(brand=brand, name=name)[0]
    made = library.Material.objects.filter(brand=brand, name=name).first()
    made = made or materials.material(part.world, "pictures", name=name, category=category, files=1)
    version = made.versions.get()
    template = library.PosterTemplate.objects.filter(brand=brand).first() or poster_scene.template(
        part.world, name=name
    )
    given = {"brand": brand, "count": 1, "at": NOW, "ended_at": NOW, "outcomes": [{"name": part.mark, "error": "x"}]}
    return {
        library.MaterialCategory: category,
        library.Material: made,
        library.MaterialVersion: version,
        library.MaterialFile: version.files.get(),
        library.MaterialUpload: library.MaterialUpload.objects.create(**given),
        library.PosterTemplate: template,
    }


def _shared(part: Part, member: Member, staff: Staff, order: str) -> dict[type[Model], Any]:
    """What somebody sent of it, who opened it, and what they bought."""
    brand, store = part.world.brand, part.world.store
    made = library.Material.objects.get(brand=brand, name=f"{brand.code}素材")
    who = {"brand": brand, "material": made, "staff": staff, "store": store}
    share = library.Share.objects.create(
        code=f"{part.mark}{staff.pk}", version=made.versions.get(), member=member, via="chat", made_at=NOW, **who
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT make_opening_month(%s)", [NOW.date()])
    sale = Order.objects.get(outer_order_id=f"{part.mark}-{order}")
    return {
        library.Favourite: library.Favourite.objects.create(staff=staff, material=made, at=NOW),
        library.Share: share,
        library.Opening: library.Opening.objects.create(at=NOW, share=share, member=member, seconds=3),
        library.ShareSale: library.ShareSale.objects.create(order=sale, share=share, way="opening", paid_at=NOW),
        library.ShareDay: library.ShareDay.objects.create(day=NOW.date(), **who),
    }


def _laid_down(part: Part, membership: Membership, staff: Staff) -> dict[type[Model], Any]:
    """What the brand lays down and laid down before, who was turned away from somebody full, a tie to be decided."""
    brand, store, member = part.world.brand, part.world.store, membership.member
    before = {name: getattr(brand, name) for name in policies.FIELDS}
    tie = Tie.objects.get_or_create(brand=brand, member=member, defaults={"made_at": NOW})[0]
    Rival.objects.create(tie=tie, staff=staff, store=store, fen=1)
    away = {"brand": brand, "member": member, "staff": staff, "store": store, "source": "contact_code", "at": NOW}
    return {
        Policy: Policy.objects.get(pk=brand.pk),
        PastPolicy: PastPolicy.objects.get_or_create(brand=brand, until=LONG_AGO, defaults=before)[0],
        Tie: tie,
        TurnedAway: TurnedAway.objects.create(**away),
    }


def _pooled(part: Part) -> Pooled:
    """Somebody of the store who is nobody's customer."""
    world, member = part.world, Member.objects.create(name=f"{part.mark}公海", created_at=NOW)
    row = Membership.objects.create(
        brand=world.brand, member=member, registered_at=LONG_AGO, registered_store=world.store
    )
    place = {"membership": row, "member": member, "brand": world.brand, "store": world.store}
    return Pooled.objects.create(since=LONG_AGO, refreshed_at=NOW, **place)


def _given(part: Part, membership: Membership, staff: Staff) -> dict[type[Model], Any]:
    """A coupon somebody gave out of their quota."""
    type, place = part.rows[CouponType], {"staff": staff, "store": part.world.store}
    quota = CouponQuota.objects.create(type=type, limit=9, **place)
    coupon = coupons.give(type=type, membership=membership, by=None, now=NOW, **place)
    return {CouponQuota: quota, Coupon: coupon, CouponMove: coupon.moves.get()}


def _intent(part: Part, membership: Membership) -> dict[type[Model], Any]:
    """What was learned of a brand's purchases, and what it says of a customer."""
    model = IntentModel.objects.create(
        brand=membership.brand, kind="logistic", as_of=NOW.date(), horizon_days=30, features=["orders"], weights=[0.5],
        means=[1.0], intercept=-1.0, middle_from=0.1, high_from=0.2, trained_at=NOW,
    )  # fmt: skip
    score = Score.objects.create(
        brand=membership.brand, member=membership.member, score=0.5, rank_basis="logistic", band="high",
        expected_fen=10000, version=model, scored_on=NOW.date(),
    )  # fmt: skip
    return {IntentModel: model, Score: score}


def _leads(part: Part, member: Member, staff: Staff, kind: str) -> dict[type[Model], Any]:
    """Why to talk to a customer, by the rules of the brand."""
    brand, quarter = part.world.brand, {"since": "2026-10-01", "defaults": {"salt": "x", "ppm": 0}}
    lead = Lead.objects.create(
        brand=brand, member=member, kind=kind, rank=3, source=f"{part.mark}:{kind}", arm="treated", staff=staff,
        store=part.world.store, reasons=[{"code": "coupon", "name": f"{part.mark}券", "in": 2}], created_at=NOW,
        owned_at=NOW, expires_at=NOW + timedelta(days=3),
    )  # fmt: skip
    run = {"day": NOW.date(), "kind": "cart", "defaults": {"looked_at": NOW}}
    return {
        Lead: lead,
        LeadPolicy: LeadPolicy.objects.get_or_create(brand=brand)[0],
        Holdout: Holdout.objects.get_or_create(brand=brand, **quarter)[0],
        LeadRun: LeadRun.objects.get_or_create(brand=brand, **run)[0],
    }


def _issued(part: Part, membership: Membership) -> dict[type[Model], Any]:
    """A giving to a segment, and somebody who got none."""
    type = CouponType.objects.get(brand=part.world.brand)
    issue = CouponIssue.objects.create(type=type, segment=part.rows[Segment], total=1, asked_at=NOW)
    skip = CouponSkip.objects.create(issue=issue, membership=membership, reason="enough")
    used = CouponUse.objects.filter(order__outer_order_id=f"{part.mark}-O1").earliest("pk")
    return {CouponType: type, CouponIssue: issue, CouponSkip: skip, CouponUse: used}


def _segment(part: Part, membership: Membership) -> dict[type[Model], Any]:
    """A segment of the brand, with somebody of this world in it."""
    brand = part.world.brand
    made = Segment.objects.filter(brand=brand).first() or Segment.objects.create(
        brand=brand,
        name=f"{brand.code}人群",
        condition={"match": "all", "of": [{"kind": "orders", "is": "ge", "count": 1}]},
        created_at=NOW,
        refreshed_at=NOW,
    )
    moved = {"segment": made, "membership": membership}
    SegmentSize.objects.get_or_create(segment=made, at=NOW, size=1, entered=1, left=0, left_out=0)
    SegmentMove.objects.create(**moved, is_entry=True, at=NOW)
    return {Segment: made, SegmentMember: SegmentMember.objects.create(**moved, entered_at=NOW)}


def _deed(part: Part, staff: Staff) -> ActionEvent:
    """A friend somebody made, for whom nothing was paid."""
    draft = PlanVersion.objects.get(plan__brand=part.world.brand, number=9001)
    return ActionEvent.objects.create(
        number=f"{part.mark}-{staff.pk}", brand=part.world.brand, type="friend", staff=staff, store=part.world.store,
        at=NOW, day=NOW.date(), rate=draft.action_rates.get(), version=draft, fen=0, reason="already_paid",
        judged_at=NOW,
    )  # fmt: skip


def _settled(part: Part, staff: Staff) -> dict[type[Model], Any]:
    """What a period owed somebody, and the batch it is paid in."""
    period, world = Period.objects.filter(brand=part.world.brand).first(), part.world
    batch = PayoutBatch.objects.create(
        period=period, payer=world.store.franchisee, total_fen=1, people=1, made_at=NOW, reference=part.mark
    )
    run = Run.objects.create(
        brand=world.brand, kind="recompute", first_on=NOW.date(), last_on=NOW.date(), started_at=NOW
    )
    owed = {"net_fen": 1, "pay_fen": 1, "made_at": NOW, "payer": world.store.franchisee}
    statement = Statement.objects.create(period=period, staff=staff, store=world.store, **owed)
    sale = Order.objects.get(outer_order_id=f"{part.mark}-O1")
    asked = {"opened_at": NOW, "answer_by": NOW + timedelta(days=5), "reason": f"{part.mark}疑问"}
    about = {"brand": world.brand, "staff": staff, "store": world.store}
    dispute = Dispute.objects.create(order=sale, line=sale.lines.get(), **about, **asked)
    return {
        PayoutBatch: batch,
        Run: run,
        RunFigure: RunFigure.objects.create(run=run, by="person", staff=staff, old_fen=1, new_fen=2),
        PayTerms: PayTerms.objects.get_or_create(brand=world.brand)[0],
        PayCycle: PayCycle.objects.get_or_create(brand=world.brand, since="2030-01-01", days=[26])[0],
        Statement: statement,
        Payout: Payout.objects.create(batch=batch, statement=statement, fen=1),
        Dispute: dispute,
        DisputeStep: DisputeStep.objects.create(dispute=dispute, kind="opened", text=f"{part.mark}经过", at=NOW),
        **_companies(part, period, sale),
    }


def _attained(part: Part, order: Order, staff: Staff) -> dict[type[Model], Any]:
    """What was to be sold in a period, and what was; and a line that does not count."""
    period, store = part.rows[Period], part.world.store
    lasting = {"min_fen": 1, "draw_until": 1, "recover_from": 2}
    return {
        Attained: _attained_by(part, staff),
        CountMark: CountMark.objects.create(order=order, line=part.rows[OrderLine], counts=False, posted_at=NOW),
        Guarantee: Guarantee.objects.create(brand=part.world.brand, staff=staff, first_period=period, **lasting),
        Target: Target.objects.create(period=period, store=store, goal_fen=1),
    }


def _attained_by(part: Part, staff: Staff) -> Attained:
    who = {"level": "staff", "subject": staff.pk, "staff": staff, "store": part.world.store}
    sums = {"sales_fen": 1, "bonus_fen": 1, "counted_at": NOW}
    of = {"period": part.rows[Period], "attainment": part.rows[Attainment], "code": part.mark, "name": part.mark}
    return Attained.objects.create(**of, **who, **sums)


def _companies(part: Part, period: Period, sale: Order) -> dict[type[Model], Any]:
    """What the company of the store owes another for a sale."""
    made = {"period": period, "made_at": NOW}
    account = CompanyAccount.objects.get_or_create(company=part.world.store.franchisee, **made)[0]
    other = CompanyAccount.objects.get_or_create(company=None, **made)[0]
    if not account.legs.exists():
        leg = {"order": sale, "kind": "recharge", "made_at": NOW}
        CompanyLeg.objects.bulk_create(
            [
                CompanyLeg(account=account, fen=1, **leg),
                CompanyLeg(account=other, other=account.company, fen=-1, **leg),
            ]
        )
    return {CompanyAccount: account, CompanyLeg: account.legs.get()}


def _outreach(part: Part, member: Member, staff: Staff) -> dict[type[Model], Any]:
    """A friend of somebody's in WeCom, a code and a welcome of theirs, and what was said."""
    mark, place = f"{part.mark}-{staff.pk}", {"staff": staff, "store": part.world.store}
    known = privacy.Known("external_userid", part.mark, f"{mark}-wm")
    key = {"key_id": privacy.keep([known])[known]}
    friend = Friend.objects.create(corp=part.mark, userid=mark, member=member, state="friend", **key, **place)
    chat = GroupChat.objects.create(corp=part.mark, chat_id=f"{mark}-wr", name=f"{mark}群", owner=mark, **place)
    named = {"brand": part.world.brand, "store": part.world.store, "name": f"{mark}名"}
    way = ContactWay.objects.create(kind="store", state_code=f"{mark}-state", trouble=f"{mark}问题", **named)
    welcome = Welcome.objects.create(text=f"{mark}您好", staff=staff, **named)
    said = {"effect": f"{mark}-effect", **place}
    message = Message.objects.create(app=_app(part.mark), digest=mark.encode(), event="e", received_at=NOW)
    broadcast = Broadcast.objects.create(
        title=f"{mark}公告", text=f"{mark}内容", roles=["clerk"], state="sent", made_at=NOW, sent_at=NOW
    )
    broadcast.stores.add(part.world.store)
    asked = {"member": member, "brand": part.world.brand, "text": f"{mark}求助", "asked_at": NOW, "raised_at": NOW}
    notice = {
        "broadcast": broadcast,
        "kind": "told",
        "title": f"{mark}通知",
        "text": f"{mark}内容",
        "friend": friend,
        "created_at": NOW,
    }
    return {
        Friend: friend,
        TagWish: TagWish.objects.create(friend=friend, tag=_word(part, mark), is_on=True, created_at=NOW),
        FriendMove: FriendMove.objects.create(friend=friend, kind="added", at=NOW),
        GroupChat: chat,
        GroupChatMember: GroupChatMember.objects.create(chat=chat, userid=mark),
        ContactWay: way,
        Shift: Shift.objects.create(way=way, staff=staff),
        Welcome: welcome,
        WelcomePart: WelcomePart.objects.create(welcome=welcome, kind="link", title=f"{mark}题", url="https://a.test"),
        Greeting: Greeting.objects.create(message=message, welcome=welcome, received_at=NOW, **key, **place),
        Note: Note.objects.create(member=member, text=f"{mark}备注", created_at=NOW, brand=part.world.brand, **place),
        Touch: Touch.objects.create(corp=part.mark, member=member, purpose="service", at=NOW, **said),
        Notice: Notice.objects.create(**notice, **said),
        Broadcast: broadcast,
        HelpRequest: HelpRequest.objects.create(kind="price", level="store", **asked, **place),
        **_handover(part, friend, chat),
    }


def _handover(part: Part, friend: Friend, chat: GroupChat) -> dict[type[Model], Any]:
    """Theirs are to be somebody else's: one customer, asked of WeCom once, and a chat."""
    staff, mark = friend.staff, friend.userid
    case = Handover.objects.create(
        kind="on_job", brand=part.world.brand, store=part.world.store, staff=staff, opened_at=NOW, reason=f"{mark}因"
    )
    row = HandoverRow.objects.create(handover=case, member=friend.member, friend=friend, holder=staff)
    app = _app(part.mark)
    call = Call.objects.create(app=app, path="p", key=f"{mark}-handover", created_at=NOW)
    asked = {"corp": part.mark, "key_id": friend.key_id, "giver": mark, "taker": mark, "is_resigned": False}
    return {
        Handover: case,
        HandoverRow: row,
        FriendTransfer: FriendTransfer.objects.create(row=row, call=call, place=0, asked_at=NOW, **asked),
        ChatTransfer: ChatTransfer.objects.create(handover=case, chat=chat, receiver=staff),
    }


def _word(part: Part, mark: str) -> Tag:
    """A tag of the brand, which every store of it may put on: it names the brand, and no store."""
    brand = part.world.brand
    return Tag.objects.create(kind="company", brand=brand, code=mark, name=f"{brand.code}标签")


def _corp(part: Part, member: Member) -> dict[type[Model], Any]:
    mark = part.mark
    like, same = (Member.objects.create(created_at=NOW, name=f"{mark}影{n}") for n in range(2))
    doubt = Doubt.objects.create(one=member, other=like, found_at=NOW)
    merge = oneid.merge(keep=member.pk, drop=same.pk, evidence={}, by=None, now=NOW)
    return {
        Doubt: doubt,
        Merge: merge,
        Tag: (word := _word(part, mark)),
        MemberTag: MemberTag.objects.create(member=member, tag=word, source="manual", since=NOW),
        Profile: Profile.objects.get(membership__member=member, membership__brand=part.world.brand),
        Consent: Consent.objects.create(member=member, purpose="marketing", is_given=True, at=NOW, noted_at=NOW),
        Event: _event(part, member),
        MemberImport: MemberImport.objects.create(
            brand=part.world.brand, name=f"{mark}.csv", digest=mark, made_at=NOW
        ),
        CorpTag: CorpTag.objects.create(corp=mark, tag_id=f"{mark}-et", name=f"{mark}标签"),
        Department: Department.objects.create(corp=mark, number=1, name=f"{mark}部门"),
        SyncRun: SyncRun.objects.create(corp=mark, started_at=NOW),
    }


def _event(part: Part, member: Member) -> Event:
    seen = behaviour.Seen(part.mark, NOW, Event.Kind.VISIT, part.world.brand.pk, (), None, part.world.store.pk)
    behaviour.keep(channel_id=part.world.pos.pk, events=[seen], now=NOW)
    Event.objects.filter(outer_event_id=part.mark).update(member=member)
    return Event.objects.get(outer_event_id=part.mark)


def _app(mark: str) -> App:
    return App.objects.filter(corp_id=mark).first() or wecom.app(slug=mark.lower(), corp_id=mark)


def _parts(part: Part, order: Order, membership: Membership) -> list[tuple[type[Model], Any]]:
    draft = PlanVersion.objects.get(plan__brand=part.world.brand, number=9001)
    told = {"membership": membership, "reason": part.mark}
    return [
        (Identity, Identity.objects.filter(member=membership.member).earliest("pk")),
        (PointsEntry, order.points_entries.earliest("pk")),
        (PointsAdjustment, PointsAdjustment.objects.create(**told, points=1, at=NOW)),
        (TierMove, TierMove.objects.create(**told, cause="manual", at=NOW)),
        (Purchase, order.purchase),
        (OrderVersion, order.versions.get()),
        (RefundVersion, RefundVersion.objects.get(refund__order=order)),
        (Share, Share.objects.filter(rule__version=draft).earliest("pk")),
        (AttainmentStep, AttainmentStep.objects.get(attainment__version=draft)),
        (ActionRate, draft.action_rates.get()),
    ]


def _found(part: Part, order: Order) -> list[tuple[type[Model], Any]]:
    return [
        (OrderLine, order.lines.get()),
        (Refund, order.refunds.get()),
        (Entry, Entry.objects.filter(order=order, staff=part.rows[Staff]).first()),
        (ClaimRow, ClaimRow.objects.filter(order=order, store=part.world.store).first()),
        (BuyerSnapshot, BuyerSnapshot.objects.filter(order=order).first()),
        (Franchisee, Franchisee.objects.get(stores=part.world.store)),
        (StoreGroup, StoreGroup.objects.get(stores=part.world.store)),
        (Tier, Tier.objects.get(brand=part.world.brand)),
        (PoolPolicy, PoolPolicy.objects.get(brand=part.world.brand)),
        (TierRule, TierRule.objects.get(brand=part.world.brand)),
        (PointsRule, PointsRule.objects.get(brand=part.world.brand)),
        (Period, Period.objects.filter(brand=part.world.brand).first()),
        (Plan, Plan.objects.get(brand=part.world.brand)),
        (PlanVersion, PlanVersion.objects.filter(plan__brand=part.world.brand, number=9001).get()),
        (Attainment, Attainment.objects.get(version__plan__brand=part.world.brand)),
        (PlanCase, PlanCase.objects.get(version__plan__brand=part.world.brand)),
        (Rule, Rule.objects.get(version__plan__brand=part.world.brand, version__number=9001)),
        (ApiToken, ApiToken.objects.get(name=f"{part.mark}-feed")),
        (Job, Job.objects.get(last_error=part.mark)),
        (Approval, Approval.objects.get(target_id=part.mark)),
        (ExportFile, ExportFile.objects.get(reason=part.mark)),
    ]


def permit_everything(account: User) -> None:
    """Every permission there is, given by mistake: the rows alone must hold then."""
    account.user_permissions.set(Permission.objects.all())
    account.is_staff = True
    account.save()
