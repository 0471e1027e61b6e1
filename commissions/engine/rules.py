"""The rule of a plan and its public JSON form. Whatever could not be meant is refused when it is read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from .calcs import BASES, Calc, parse_calc
from .document import Document, DocumentError
from .splits import HOUSE, Missing, Share

PLACES = ("channel", "store", "store_group", "ownership", "brand", "category", "product")
"""Conditions that say where or what was sold. Their number is the specificity of a rule."""

LISTS = (*PLACES, "tier", "live_event", "material")
"""Conditions that list the values they allow."""

LEASTS = ("min_dormant_days", "min_discount_bp", "min_line_fen", "min_order_fen")
"""Conditions that set a lower bound; equality passes."""

_FIELDS = (
    *("id", "group", "priority", "stop", "valid", "when", "base", "calc", "floor_fen", "cap_fen"),
    *("split", "missing", "commissionable", "counts_for_attainment"),
    *("name", "title", "note"),  # remarks for people; not kept
)


class PlanError(DocumentError):
    """A plan that must not be saved; each of its `messages` names the rule and the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a plan version; the fields mean what they mean in the public format.

    `accepts` holds the list conditions (and `member`) with the values they allow, `leasts` the lower bounds.
    `valid_from` and `valid_to` are wall clock of the plan's time zone, or aware moments. A rule that is not
    `commissionable` takes its group and pays nothing. Sales under a rule that does not count for attainment
    are paid, but lift nobody into a higher tier.
    """

    id: str
    calc: Calc
    group: str = "base"
    priority: int = 0
    stop: bool = False
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    accepts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    leasts: Mapping[str, int] = field(default_factory=dict)
    base: str = "paid"
    floor_fen: int | None = None
    cap_fen: int | None = None
    split: tuple[Share, ...] = (Share("bound", 1),)
    missing: Missing = "forfeit"
    to_role: str | None = None
    commissionable: bool = True
    counts_for_attainment: bool = True

    @property
    def specificity(self) -> int:
        """The number of place and product conditions."""
        return sum(name in PLACES for name in self.accepts)


def parse_rule(data: object) -> Rule:
    """Read one rule of the public format.

    Raises PlanError with a message for every field that is missing, unknown or wrong.
    """
    document = Document(data)
    document.allow_only(*_FIELDS)
    valid = _parse_valid(document.child("valid"))
    missing, to_role = _parse_missing(document)
    rule = Rule(
        id=document.text("id"),
        group=document.text("group", default="base"),
        priority=document.integer("priority", default=0),
        stop=document.flag("stop"),
        valid_from=valid[0],
        valid_to=valid[1],
        accepts=_parse_accepts(document.child("when")),
        leasts=_parse_leasts(document.child("when")),
        base=document.choice("base", BASES, default="paid"),
        calc=parse_calc(document.child("calc")),
        floor_fen=document.optional_integer("floor_fen", least=0),
        cap_fen=document.optional_integer("cap_fen", least=0),
        split=_parse_split(document),
        missing=missing,
        to_role=to_role,
        commissionable=document.flag("commissionable", default=True),
        counts_for_attainment=document.flag("counts_for_attainment", default=True),
    )
    if document.problems:
        raise PlanError(f"rule {rule.id or '?'}: {problem}" for problem in document.problems)
    return rule


def parse_rules(data: Iterable[object]) -> list[Rule]:
    """Read the rules of a plan; raises one PlanError with the messages of all of them."""
    rules, messages = [], []
    for item in data:
        try:
            rules.append(parse_rule(item))
        except PlanError as error:
            messages += error.messages
    if messages:
        raise PlanError(messages)
    return rules


def _parse_valid(valid: Document) -> tuple[datetime | None, datetime | None]:
    valid.allow_only("from", "to")
    return valid.optional_moment("from"), valid.optional_moment("to")


def _parse_accepts(when: Document) -> dict[str, frozenset[str]]:
    when.allow_only(*LISTS, "member", *LEASTS)
    accepts = {}
    for name in LISTS:
        if name not in when:
            continue
        values = [when.text(name)] if name == "ownership" and isinstance(when.value(name), str) else when.texts(name)
        if not values:
            # It would match nothing; whoever emptied a list more likely meant everything.
            when.note(name, "must not be empty; leave the condition out to allow every value")
        accepts[name] = frozenset(values)
    if "member" in when:
        accepts["member"] = frozenset([when.choice("member", ("new", "existing"))])
    return accepts


def _parse_leasts(when: Document) -> dict[str, int]:
    return {name: when.integer(name, least=0) for name in LEASTS if name in when}


def _parse_split(document: Document) -> tuple[Share, ...]:
    if "split" not in document:
        return (Share("bound", 1),)
    shares = []
    for share in document.children("split"):
        share.allow_only("role", "weight")
        shares.append(Share(share.text("role"), share.integer("weight", least=0)))
    roles = [share.role for share in shares]
    if not set(roles) - {HOUSE}:
        document.note("split", "must name at least one role")
    if len(set(roles)) < len(roles):
        document.note("split", "must not name a role twice")
    return tuple(shares)


def _parse_missing(document: Document) -> tuple[Missing, str | None]:
    if isinstance(document.value("missing"), Mapping):
        policy = document.child("missing")
        policy.allow_only("to_role")
        return "to_role", policy.text("to_role")
    if document.choice("missing", ("forfeit", "reallocate"), default="forfeit") == "reallocate":
        return "reallocate", None
    return "forfeit", None
