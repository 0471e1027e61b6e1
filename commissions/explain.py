"""Why is it this number? Every fen in words that a clerk, a manager and finance read the same way.

Two questions are answered. *Of an entry*: what the frozen entry says, in one sentence and three numbers (the clerk's
phone). *Of a line*: the whole decision once more on the inputs kept at settlement, with winners and losers.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from commissions import claims as inputs
from commissions import engine, ladders, ledger, plans, values
from commissions.engine.attainment import Scale
from commissions.models import Attained, Attainment, ClaimRow, Entry, PlanVersion
from commissions.models.ledger import SHANGHAI
from commissions.models.plans import Role
from retail import scope
from retail.models import Order, OrderLine
from retail.templatetags.figures import percent, yuan

# Machine reason → words. `no_<role>` is spelled by _reason.
REASONS = {
    "before_valid_from": gettext_lazy("规则当时还没开始"),
    "after_valid_to": gettext_lazy("规则当时已经结束"),
    "channel": gettext_lazy("渠道不在规则范围内"),
    "store": gettext_lazy("门店不在规则范围内"),
    "store_group": gettext_lazy("门店不在规则的门店组里"),
    "ownership": gettext_lazy("直营或加盟与规则不符"),
    "brand": gettext_lazy("品牌不在规则范围内"),
    "category": gettext_lazy("品类不在规则范围内"),
    "product": gettext_lazy("商品不在规则范围内"),
    "not_new_member": gettext_lazy("规则只给新客，这位是老客"),
    "not_existing_member": gettext_lazy("规则只给老客，这位是新客"),
    "tier": gettext_lazy("会员等级不在规则范围内"),
    "live_event": gettext_lazy("不是规则指定的直播"),
    "material": gettext_lazy("不是规则指定的素材"),
    "dormant": gettext_lazy("沉睡天数没到"),
    "discount_floor": gettext_lazy("折扣太低，没到规则的折扣线"),
    "min_line": gettext_lazy("这行金额没到起点"),
    "min_order": gettext_lazy("整单金额没到起点"),
    "no_cost": gettext_lazy("没有成本，算不出毛利"),
    "lost_in_group": gettext_lazy("同组里有更优先的规则"),
    "stopped": gettext_lazy("前面的规则命中后不再往下算"),
    "not_commissionable": gettext_lazy("规则定为不计佣"),
    "zero_pool": gettext_lazy("算出来是 0"),
    "house_only": gettext_lazy("全部留在公司"),
}

_BASES = {"paid": gettext_lazy("实付"), "tag": gettext_lazy("吊牌价"), "margin": gettext_lazy("毛利")}

# Claim evidence `by` → words.
_WHY = {
    "registration": gettext_lazy("会员由这位导购招募"),
    "binding": gettext_lazy("付款时是会员的专属导购"),
    "share_code": gettext_lazy("订单带着这位导购的分享码"),
    "share_link": gettext_lazy("订单带着这位导购的分享链接"),
    "opening": gettext_lazy("付款前最后打开的是这位导购的分享"),
    "order": gettext_lazy("订单上写的是这位导购"),
    "line": gettext_lazy("这一行写的是这位导购"),
    "fulfil_store": gettext_lazy("由这家门店发货"),
    "order_store": gettext_lazy("付款时管这家门店"),
    "store_of_bound": gettext_lazy("管专属导购所在的门店"),
    "store_of_serve": gettext_lazy("管开单导购所在的门店"),
    "store_of_share": gettext_lazy("管分享导购所在的门店"),
    "store_of_recruit": gettext_lazy("管招募导购所在的门店"),
}
# The same of a region manager.
_WHY_REGION = {
    "order_store": gettext_lazy("付款时管这个区域"),
    "store_of_bound": gettext_lazy("管专属导购所在的区域"),
    "store_of_serve": gettext_lazy("管开单导购所在的区域"),
    "store_of_share": gettext_lazy("管分享导购所在的区域"),
    "store_of_recruit": gettext_lazy("管招募导购所在的区域"),
}


def _reason(code: str) -> str:
    if code.startswith("no_"):
        return _("当时没有人是「%(role)s」") % {"role": _role(code.removeprefix("no_"))}
    return str(REASONS.get(code, code))


def _role(code: str) -> str:
    return str(Role(code).label) if code in Role.values else _("公司")


# ── Of an entry: one sentence, three numbers ─────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Story:
    """One entry in words. `numbers`: three (label, text) pairs that a calculator can check."""

    entry: Entry
    kind: str
    fen: int
    sentence: str
    numbers: list[tuple[str, str]]


def of_entries(entries: Iterable[Entry]) -> list[Story]:
    """Tell staff entries of orders; give them with select_related("line", "rule", "reverses"). Bonuses: `of_bonus`.

    Whoever may see an entry may know how it came about, so the plan is read on nobody's behalf. A query per version.
    """
    told = [entry for entry in entries if entry.rule_id is not None]
    after = _totals(told)
    with scope.within(scope.EVERYTHING):
        ids = {entry.version_id for entry in told if entry.version_id is not None}
        versions = {version_id: plans.of_version(version_id) for version_id in ids}
    return [
        _story(entry, versions[entry.version_id], after[entry.pk]) for entry in told if entry.version_id is not None
    ]


def _award(entry: Entry) -> tuple[Any, ...]:
    """What its corrections are of, too; as `ledger.Award`."""
    return entry.line_id, entry.rule.code, entry.role, entry.staff_id, entry.store_id, entry.payer_id


def _totals(entries: Iterable[Entry]) -> dict[int, int]:
    """Entry id → what its award came to with it, refunds aside."""
    sums: Counter[tuple[Any, ...]] = Counter()
    found = {}
    for entry in sorted(entries, key=lambda entry: entry.pk):
        if entry.kind != Entry.Kind.REVERSE:
            sums[_award(entry)] += entry.fen
        found[entry.pk] = sums[_award(entry)]
    return found


def _story(entry: Entry, compiled: plans.Compiled, after_fen: int) -> Story:
    if entry.kind == Entry.Kind.REVERSE:
        return _reversal_story(entry)
    rule = next(it.rule for it in compiled.plan.contenders if it.rule.id == entry.rule.code)
    how = _how(rule, entry.line)
    values = {
        "what": _what(entry.line),
        "paid": _money(entry.base_fen),
        "rule": entry.rule.name,
        "how": how,
        "pool": _money(entry.pool_fen),
        "role": _role(entry.role),
        "mine": _money(entry.fen),
    }
    if entry.kind == Entry.Kind.DELTA:
        return _correction_story(entry, after_fen, values)
    if entry.fen == entry.pool_fen:
        sentence = _("%(what)s实付 %(paid)s，按「%(rule)s」%(how)s，%(role)s得 %(mine)s。") % values
    else:
        sentence = _("%(what)s实付 %(paid)s，按「%(rule)s」%(how)s，共 %(pool)s，%(role)s分得 %(mine)s。") % values
    numbers = [
        (_("实付"), values["paid"]),
        (_("佣金"), f"{how} = {values['pool']}"),
        (values["role"], f"{_part_of(entry, rule)} = {values['mine']}"),
    ]
    return Story(entry, entry.kind, entry.fen, sentence, numbers)


def _correction_story(entry: Entry, after_fen: int, values: dict[str, Any]) -> Story:
    values |= {"old": _money(after_fen - entry.fen), "new": _money(after_fen), "less": _money(-entry.fen)}
    if not after_fen:
        sentence = _("订单或规则有更正，「%(rule)s」不再给%(role)s，收回 %(less)s。") % values
    elif entry.fen < 0:
        sentence = _("订单或规则有更正，按「%(rule)s」%(how)s重算，%(role)s由 %(old)s 改为 %(new)s，扣回 %(less)s。")
        sentence %= values
    else:
        sentence = _("订单或规则有更正，按「%(rule)s」%(how)s重算，%(role)s由 %(old)s 改为 %(new)s，补 %(mine)s。")
        sentence %= values
    numbers = [(_("原来"), values["old"]), (_("更正后"), values["new"]), (_("差额"), values["mine"])]
    return Story(entry, entry.kind, entry.fen, sentence, numbers)


def _reversal_story(entry: Entry) -> Story:
    first = entry.reverses
    values = {"what": _what(entry.line), "back": _money(-entry.fen), "rule": entry.rule.name}
    sentence = _("%(what)s有退款，按退回的比例冲回「%(rule)s」的 %(back)s。") % values
    numbers = [
        (_("原佣金"), _money(first.fen) if first else "–"),
        (_("冲回"), _share_text(entry.fen, first.fen) if first else "–"),
        (_("金额"), _money(entry.fen)),
    ]
    return Story(entry, entry.kind, entry.fen, sentence, numbers)


def _money(fen: int | None) -> str:
    """¥12.30, -¥0.05; – where there is none."""
    if fen is None:
        return "–"
    return "{}¥{}".format("-" if fen < 0 else "", yuan(abs(fen)))


def _what(line: OrderLine) -> str:
    pieces = abs(line.qty)
    return _("这件") if pieces == 1 else _("这 %(pieces)s 件") % {"pieces": pieces}


def _how(rule: engine.Rule, line: OrderLine) -> str:
    """The calculation of a rule on a line: "吊牌价的 3%", "每件 ¥2.50"."""
    twin = engine.Line(line.pk, line.paid_fen, line.tag_fen, line.qty, None, None, None, line.cost_fen).unsigned()
    return _terms(rule.calc.kind, rule.base, *rule.calc.terms(twin), pieces=twin.qty)


def _terms(calc: str, base: str, ppm: int, fixed_fen: int, pieces: int) -> str:
    rate = _("%(base)s的 %(rate)s") % {"base": _BASES[base], "rate": percent(ppm)}
    if calc == "fixed":
        return _("每笔 ¥%(fen)s") % {"fen": yuan(abs(fixed_fen))}
    if calc == "per_qty":
        each = abs(fixed_fen) // (pieces or 1)
        return _("每件 ¥%(fen)s × %(pieces)s 件") % {"fen": yuan(each), "pieces": pieces}
    if calc == "rate_plus":
        return _("%(rate)s 再加 ¥%(fen)s") % {"rate": rate, "fen": yuan(abs(fixed_fen))}
    return rate


def _part_of(entry: Entry, rule: engine.Rule) -> str:
    """The share the rule gives to the role, where that is what was paid; else about how much of the pool it was."""
    weights = [share.weight for share in rule.split]
    declared = zip(rule.split, engine.allocate(entry.pool_fen, weights), strict=True)
    for share, fen in declared:
        if share.role == entry.role and fen == entry.fen and sum(weights) == plans.WHOLE_PPM:
            return percent(share.weight)
    return _share_text(entry.fen, entry.pool_fen)


def _share_text(part: int, whole: int) -> str:
    """About how much of the whole: "90%", "约 33.3%" where the fen did not come out even."""
    if not whole:
        return "–"
    tenths, rest = divmod(abs(part) * 1000, abs(whole))
    tenths += 2 * rest >= abs(whole)
    text = f"{tenths // 10}.{tenths % 10}".removesuffix(".0") + "%"
    return text if tenths * abs(whole) == abs(part) * 1000 else _("约 %(share)s") % {"share": text}


# ── Of a bonus ───────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class BonusStory:
    """A bonus in words: a sentence, three numbers, and step by step how the whole comes about (empty: not known)."""

    sentence: str
    numbers: list[tuple[str, str]]
    steps: list[tuple[str, str, str]]
    total_fen: int


def of_bonus(*, entry: Entry) -> BonusStory:
    """Tell one booking of a bonus; its tiers are those of the version it was booked by. Read on nobody's behalf."""
    with scope.within(scope.EVERYTHING):
        attainment = Attainment.objects.prefetch_related("steps").get(pk=entry.attainment_id or 0)
        origin = entry.period_origin
        rows = Attained.objects.filter(period=origin, code=attainment.code, level=attainment.level)
        subject = entry.staff_id if attainment.level == Attainment.Level.STAFF else entry.store_id
        target_fen = rows.filter(subject=subject or 0).values_list("target_fen", flat=True).first()
    values = {
        "period": origin,
        "name": attainment.name,
        "sold": _money(entry.base_fen),
        "pool": _money(entry.pool_fen),
        "mine": _money(entry.fen),
    }
    if not entry.base_fen and entry.fen < 0:
        sentence = _("%(period)s 的「%(name)s」不再有业绩，收回 %(mine)s。") % values
    else:
        sentence = _("%(period)s 业绩 %(sold)s，按「%(name)s」奖励共 %(pool)s，减去已记的，这次记 %(mine)s。") % values
    numbers = [(_("业绩"), values["sold"]), (_("奖励共"), values["pool"]), (_("这次记"), values["mine"])]
    scale = ladders.scale_of(attainment, target_fen=target_fen)
    is_so = scale.commission(entry.base_fen) == entry.pool_fen
    return BonusStory(sentence, numbers, steps_of(scale, entry.base_fen) if is_so else [], entry.pool_fen)


def steps_of(scale: Scale, sales_fen: int) -> list[tuple[str, str, str]]:
    """Each tier that brings something: where it begins, what of the sales it takes at which rate, what that gives."""
    told = []
    for segment in ladders.segments(scale, sales_fen=sales_fen):
        if not segment.sales_fen:
            continue
        how = f"{_money(segment.sales_fen)} × {percent(segment.tier.ppm)}"
        if segment.tier.fixed_fen:
            how += _(" + 达档奖 %(fen)s") % {"fen": _money(segment.tier.fixed_fen)}
        told.append((_("%(fen)s 起") % {"fen": _money(segment.tier.from_fen)}, how, _money(segment.fen)))
    return told


# ── Of a line: the whole decision ────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class PartStory:
    """What one person got of a pool, and why it is this person."""

    role_label: str
    claim: ClaimRow
    fen: int
    why: str


@dataclass(frozen=True, slots=True)
class WinStory:
    """A rule that took its group: `steps` lead from the base to the pool; `parts` and `house_fen` add up to it."""

    rule: str
    sentence: str
    pool_fen: int
    steps: list[tuple[str, str]]
    parts: list[PartStory]
    house_fen: int


@dataclass(frozen=True, slots=True)
class LossStory:
    rule: str
    reason_text: str


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What a rule gave once and a correction took back whole; `entry` is the one that gave it."""

    rule: str
    role_label: str
    entry: Entry
    fen: int


@dataclass(frozen=True, slots=True)
class LineStory:
    """The whole decision about one line. `problem` says why there is none (not settled yet, no plan then).

    `corrections` tell how it came to be judged by this version, a sentence each, the first one first.
    """

    version: PlanVersion | None = None
    facts: list[tuple[str, str]] = field(default_factory=list)
    winners: list[WinStory] = field(default_factory=list)
    losers: list[LossStory] = field(default_factory=list)
    problem: str = ""
    corrections: list[str] = field(default_factory=list)
    taken_back: list[TakenBack] = field(default_factory=list)


def of_line(*, order: Order, line: OrderLine) -> LineStory:
    """Decide the line once more on the kept inputs, and tell it. Needs a scope that holds plan and claims whole."""
    kept = inputs.kept(order=order)
    if kept is None:
        return LineStory(problem=_("这笔订单还没有结算。"))
    judged = _judgements(order)
    if judged:
        compiled: plans.Compiled | None = plans.of_version(judged[-1].version_id)
    else:
        compiled = plans.at(brand_id=order.brand_id, moment=order.paid_at)
    if compiled is None:
        return LineStory(problem=_("付款时没有生效的分佣方案。"), facts=_facts(order, line, kept))
    claims = list(ClaimRow.objects.filter(order=order, revision=kept.buyer.revision).order_by("pk"))
    trace = engine.explain(compiled.plan, ledger.order_facts(order=order, kept=kept), line.pk)
    return LineStory(
        version=PlanVersion.objects.select_related("plan").get(pk=compiled.version_id),
        facts=_facts(order, line, kept),
        winners=[_win(win, compiled, line, claims) for win in trace.winners],
        losers=[
            LossStory(compiled.names[loss.rule_id], _("；").join(_reason(code) for code in loss.reasons))
            for loss in trace.losers
        ],
        corrections=_corrections(judged),
        taken_back=_taken_back(line),
    )


class _Judgement(NamedTuple):
    """One time the journal got what an order should add up to: when, by which version, why that one, by which run."""

    at: datetime
    run: int | None
    version_id: int
    reason: str


def _judgements(order: Order) -> list[_Judgement]:
    """How often an order was judged with something to post, the first time first. Three statements.

    An award that a correction takes away is booked with the version that gave it. So the entries alone do not tell
    who judged last: the version is the one that held, as plans stood when they were posted. One put in force while
    they waited to be posted is on the entries themselves.
    """
    rows = Entry.objects.of_staff().filter(order=order, kind__in=(Entry.Kind.EARN, Entry.Kind.DELTA))
    postings: dict[tuple[datetime, int | None], set[int]] = {}
    for posted_at, run, version_id in rows.order_by("pk").values_list("posted_at", "run", "version"):
        postings.setdefault((posted_at, run), set()).add(version_id)
    if not postings:
        return []
    acts = plans.activations(brand_id=order.brand_id)
    places = {act.version_id: place for place, act in enumerate(acts)}
    judged = []
    for (posted_at, run), booked in postings.items():
        held = plans.as_known(acts, moment=order.paid_at, at=posted_at)
        version_id = max({*booked, *([held.version_id] if held else [])}, key=lambda pk: (places.get(pk, -1), pk))
        reason = acts[places[version_id]].reason if version_id in places else ""
        judged.append(_Judgement(posted_at, run, version_id, reason))
    return judged


def _numbered(version: int) -> str:
    return _("第 %(number)s 版") % {"number": version}


def _corrections(judged: Sequence[_Judgement]) -> list[str]:
    if len(judged) < 2:
        return []
    names = dict(PlanVersion.objects.filter(pk__in={one.version_id for one in judged}).values_list("pk", "number"))
    told = []
    for before, after in pairwise(judged):
        at = f"{timezone.localtime(after.at, SHANGHAI):%Y-%m-%d %H:%M}"
        values = {"at": at, "old": _numbered(names[before.version_id]), "new": _numbered(names[after.version_id])}
        if before.version_id == after.version_id:
            said = _("%(at)s 订单或归因有更正，还按%(new)s重算。") % values
        else:
            said = _("%(at)s 更正过：原来按%(old)s算，改按%(new)s重算。") % values
        if before.version_id != after.version_id and after.reason:
            said += _("原因：%(why)s。") % {"why": after.reason}
        if after.run is not None:
            said += _("由重算 #%(run)s 过账。") % {"run": after.run}
        told.append(said)
    return told


def _taken_back(line: OrderLine) -> list[TakenBack]:
    """What rules gave for a line and give no more."""
    rows = Entry.objects.of_staff().filter(line=line, kind__in=(Entry.Kind.EARN, Entry.Kind.DELTA))
    awards: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in rows.select_related("rule").order_by("pk"):
        awards.setdefault(_award(entry), []).append(entry)
    return [
        TakenBack(own[0].rule.name, _role(own[0].role), own[0], sum(max(0, entry.fen) for entry in own))
        for own in awards.values()
        if not sum(entry.fen for entry in own)
    ]


def _facts(order: Order, line: OrderLine, kept: inputs.Kept) -> list[tuple[str, str]]:
    """What the rules were judged on."""
    paid_at = timezone.localtime(order.paid_at, SHANGHAI)
    facts = [
        (_("付款时间"), f"{paid_at:%Y-%m-%d %H:%M}"),
        (_("渠道"), order.channel.name),
        (_("门店"), order.store.name if order.store else "–"),
        (_("实付"), _money(line.paid_fen)),
        (_("吊牌价"), _money(line.tag_fen)),
        (_("件数"), str(line.qty)),
        (_("顾客"), _("新客") if kept.buyer.is_new else _("老客")),
    ]
    if line.tag_fen > 0 <= line.paid_fen:
        facts.insert(5, (_("折扣"), _("%(fold)s 折") % {"fold": f"{line.paid_fen * 100 // line.tag_fen / 10:g}"}))
    if kept.buyer.dormant_days is not None:
        facts.append((_("距上次购买"), _("%(days)s 天") % {"days": kept.buyer.dormant_days}))
    if kept.buyer.tier:
        names = values.named({"tier": [kept.buyer.tier]}, brand=order.brand_id)
        facts.append((_("等级"), names.get(kept.buyer.tier, kept.buyer.tier)))
    if material := next((claim.material for claim in kept.claims if claim.material), None):
        facts.append((_("素材"), values.named({"material": [material]}, brand=order.brand_id).get(material, material)))
    if kept.buyer.staff_id:
        facts.append((_("自购"), _("买的人是员工本人，不给本人计佣")))
    return facts


def _win(win: engine.Win, compiled: plans.Compiled, line: OrderLine, claims: Sequence[Any]) -> WinStory:
    how = _terms(win.calc, win.base, win.ppm, win.fixed_fen, abs(line.qty))
    steps = [
        (str(_BASES[win.base]), _money(win.base_fen)),
        (_("算法"), how),
        (_("算得"), _money(win.raw_fen)),
    ]
    if win.is_floored:
        steps.append((_("低于下限，提到"), _money(win.floor_fen)))
    if win.is_capped:
        steps.append((_("高于上限，按"), _money(win.cap_fen)))
    steps.append((_("佣金池"), _money(win.pool_fen)))
    if win.missing_roles:
        steps.append((_("当时缺"), _("、").join(_role(role) for role in win.missing_roles)))
    name = compiled.names[win.rule_id]
    if win.reasons:
        sentence = _("「%(rule)s」命中，但没有付给任何人：%(why)s。") % {
            "rule": name,
            "why": _("；").join(_reason(code) for code in win.reasons),
        }
    else:
        sentence = _("按「%(rule)s」%(how)s，共 %(pool)s。") % {"rule": name, "how": how, "pool": _money(win.pool_fen)}
    parts = [_part(part, line, claims) for part in win.parts]
    return WinStory(name, sentence, win.pool_fen, steps, parts, win.house_fen)


def _part(part: engine.Part, line: OrderLine, claims: Sequence[Any]) -> PartStory:
    # A claim of the line itself goes before one of the whole order.
    claim = next(
        claim
        for line_id in (line.pk, None)
        for claim in claims
        if (claim.line_id, claim.role, claim.staff_id) == (line_id, part.role, part.holder)
    )
    return PartStory(_role(part.role), claim, part.fen, why(claim))


def why(claim: ClaimRow) -> str:
    """Why it is this person, in words."""
    by = claim.evidence.get("by", "")
    words = _WHY_REGION if claim.role == Role.REGION and by in _WHY_REGION else _WHY
    return str(words.get(by, ""))
