"""Who fits a condition, by plain Python over rows read beforehand: no SQL, nothing of `members.segments`."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from clerks.models import Binding, Friend, Touch
from commissions import returns
from members.models import (
    Consent,
    Coupon,
    CouponType,
    Event,
    Member,
    Membership,
    MemberTag,
    PointsEntry,
    Purchase,
    Stop,
    Tag,
    Tier,
)
from retail.models import Brand, Category, Product, Staff, Store

SHANGHAI = ZoneInfo("Asia/Shanghai")


class Oracle:
    def __init__(self, brand: Brand, now: datetime) -> None:
        self.brand, self.now, self.today = brand, now, now.astimezone(SHANGHAI).date()
        everyone = Member._base_manager.all()
        self.root = {one.pk: one.merged_into_id or one.pk for one in everyone}
        self.born = {one.pk: one.born_on for one in everyone}
        self.memberships = [
            one for one in Membership._base_manager.filter(brand=brand) if self.root[one.member_id] == one.member_id
        ]
        self.rank = {one.pk: one.rank for one in Tier._base_manager.all()}
        self.lines = defaultdict(list)
        for line in self._lines():
            self.lines[line["membership"]].append(line)
        self._rows = {
            model: self._by_member(model) for model in (MemberTag, Event, Consent, Stop, Binding, Friend, Touch)
        }
        self._owned = {model: defaultdict(list) for model in (PointsEntry, Coupon)}
        for model, rows in self._owned.items():
            for row in model._base_manager.all():
                rows[row.membership_id].append(row)
        self._ids = {
            (model, column): dict(model._base_manager.values_list(column, "pk"))
            for model, column in (
                *((Store, "code"), (Staff, "code"), (Tier, "code"), (CouponType, "code")),
                *((Product, "sku"), (Category, "code")),
            )
        }
        self._category = dict(Product._base_manager.values_list("pk", "category"))
        self._tags = Tag._base_manager.in_bulk()

    def _by_member(self, model: Any) -> Any:
        """Of each person by now; what was said or done by somebody since merged is theirs where `root` says so."""
        rows = defaultdict(list)
        for row in model._base_manager.order_by("pk"):
            if row.member_id is not None:
                is_said = model in (Consent, Stop)
                rows[self.root[row.member_id] if is_said else row.member_id].append(row)
        return rows

    def _lines(self) -> Any:
        rows = Purchase._base_manager.select_related("order__channel").prefetch_related("order__lines__product")
        for purchase in rows.filter(membership__brand=self.brand):
            lines = list(purchase.order.lines.all())
            back = returns.tally(lines=lines, refunds=purchase.order.refunds.all()).back
            for line in lines:
                returned = back.get(line.pk)
                gone, pieces = (returned.back, returned.pieces) if returned else (0, 0)
                is_whole = returned is not None and returned.back >= returned.size
                sign = (line.paid_fen > 0) - (line.paid_fen < 0)
                kept = abs(line.qty) - (abs(line.qty) if is_whole else min(pieces, abs(line.qty)))
                yield {
                    "membership": purchase.membership_id,
                    "order": purchase.order_id,
                    "at": purchase.paid_at,
                    "store": purchase.store_id,
                    "channel": purchase.order.channel.kind,
                    "category": line.category_label,
                    "product": line.product.sku,
                    "fen": line.paid_fen - sign * gone,
                    "pieces": kept if line.qty > 0 else -kept,
                    "is_one": line.qty > 0 and not is_whole,
                }

    def fitting(self, document: Any) -> set[int]:
        return {one.pk for one in self.memberships if self.fits(document, one)}

    def fits(self, document: Any, one: Membership) -> bool:
        if "kind" in document:
            return bool(getattr(self, document["kind"])(document, one))
        outcomes = [self.fits(part, one) for part in document["of"]]
        return {"all": all, "any": any, "none": lambda several: not any(several)}[document["match"]](outcomes)

    # When
    def inside(self, window: Any, at: datetime | None) -> bool:
        if at is None:
            return False
        if window is None:
            return True
        day = at.astimezone(SHANGHAI).date()
        if "from" in window:
            return date.fromisoformat(window["from"]) <= day <= date.fromisoformat(window["to"])
        if window["unit"] == "day":
            return day >= self.today - timedelta(days=window["last"])
        year, month = self.today.year, self.today.month - window["last"]
        while month < 1:
            year, month = year - 1, month + 12
        reached = next(
            date(year, month, day) for day in range(self.today.day, 0, -1) if self._is_day(year, month, day)
        )
        return day >= reached

    @staticmethod
    def _is_day(year: int, month: int, day: int) -> bool:
        try:
            date(year, month, day)
        except ValueError:
            return False
        return True

    @staticmethod
    def at_least(said: Any, value: int, wanted: int) -> bool:
        return value >= wanted if said["is"] == "ge" else value < wanted

    def ids(self, model: Any, column: str, codes: list[str]) -> set[int]:
        return {self._ids[model, column][code] for code in codes}

    # What was bought
    def bought(self, said: Any, one: Membership) -> list[dict[str, Any]]:
        stores = self.ids(Store, "code", said["store"]) if "store" in said else None
        return [
            line
            for line in self.lines[one.pk]
            if self.inside(said.get("within"), line["at"])
            and (stores is None or line["store"] in stores)
            and all(line[name] in said[name] for name in ("channel", "category", "product") if name in said)
        ]

    def _orders(self, lines: list[dict[str, Any]]) -> int:
        return len({line["order"] for line in lines if line["is_one"]})

    def spent(self, said: Any, one: Membership) -> bool:
        return self.at_least(said, sum(line["fen"] for line in self.bought(said, one)), said["fen"])

    def orders(self, said: Any, one: Membership) -> bool:
        return self.at_least(said, self._orders(self.bought(said, one)), said["count"])

    def pieces(self, said: Any, one: Membership) -> bool:
        return self.at_least(said, sum(line["pieces"] for line in self.bought(said, one)), said["count"])

    def average(self, said: Any, one: Membership) -> bool:
        lines = self.bought(said, one)
        count, fen = self._orders(lines), sum(line["fen"] for line in lines)
        return count > 0 and self.at_least(said, fen, said["fen"] * count)

    def last_purchase(self, said: Any, one: Membership) -> bool:
        return self._when(said, one.last_purchase_at)

    def first_purchase(self, said: Any, one: Membership) -> bool:
        return self._when(said, one.first_purchase_at)

    def _when(self, said: Any, at: datetime | None) -> bool:
        if said["is"] == "never":
            return at is None
        return self.inside(said["within"], at) == (said["is"] == "in")

    # What they are and own
    def tier(self, said: Any, one: Membership) -> bool:
        if said["is"] == "none":
            return one.tier_id is None
        chosen = self.ids(Tier, "code", said["tier"])
        if said["is"] == "one_of":
            return one.tier_id in chosen
        rank = self.rank.get(one.tier_id, -1) if one.tier_id else -1
        ranks = [self.rank[pk] for pk in chosen]
        return rank >= min(ranks) if said["is"] == "at_least" else rank < max(ranks)

    def points(self, said: Any, one: Membership) -> bool:
        return self.at_least(said, one.points, said["count"])

    def points_expiring(self, said: Any, one: Membership) -> bool:
        """Take what was used off the lots that expire first, one after another."""
        entries = self._owned[PointsEntry][one.pk]
        lots = [entry for entry in entries if entry.kind in ("earn", "back", "adjust")]
        lots.sort(key=lambda entry: (entry.expires_on is None, entry.expires_on or date.max))
        used = -sum(entry.points for entry in entries if entry.kind not in ("earn", "back", "adjust"))
        due = 0
        for lot in lots:
            taken = min(used, lot.points)
            used -= taken
            if lot.expires_on and lot.expires_on <= self.today + timedelta(days=said["days"]):
                due += lot.points - taken
        return due >= said["count"]

    def coupon(self, said: Any, one: Membership) -> bool:
        types = self.ids(CouponType, "code", said["coupon"]) if "coupon" in said else None
        held = [row for row in self._owned[Coupon][one.pk] if types is None or row.type_id in types]
        return any(self._is_coupon(said, row) for row in held) != (said["is"] == "never")

    def _is_coupon(self, said: Any, row: Coupon) -> bool:
        is_open = row.state == "issued" and row.valid_until >= self.now
        return {
            "never": True,
            "held": is_open,
            "expiring": is_open and row.valid_until < self.now + timedelta(days=said.get("days", 0)),
            "used": row.state == "redeemed" and self.inside(said.get("within"), row.redeemed_at),
            "expired": (row.state == "expired" or (row.state == "issued" and not is_open))
            and self.inside(said.get("within"), row.valid_until),
        }[said["is"]]

    def registered(self, said: Any, one: Membership) -> bool:
        return (
            self.inside(said.get("within"), one.registered_at)
            and ("store" not in said or one.registered_store_id in self.ids(Store, "code", said["store"]))
            and ("staff" not in said or one.registered_by_id in self.ids(Staff, "code", said["staff"]))
        )

    def birthday(self, said: Any, one: Membership) -> bool:
        born = self.born[one.member_id]
        this = self.today.month
        months = {"this": this, "next": this % 12 + 1}
        return born is not None and born.month in {months.get(code) or int(code) for code in said["month"]}

    # What is known of them
    def tags(self, said: Any, one: Membership) -> bool:
        rows = [row for row in self._rows[MemberTag][one.member_id] if row.until is None]
        tags = [self._tags[row.tag_id] for row in rows if row.brand_id in (None, self.brand.pk)]
        codes = {tag.code for tag in tags if self._is_ours(tag)}
        held = [code in codes for code in said["tag"]]
        return {"any": any(held), "all": all(held), "none": not any(held)}[said["is"]]

    def _is_ours(self, tag: Tag) -> bool:
        return tag.kind != "clerk" and tag.is_active and tag.brand_id in (None, self.brand.pk)

    def event(self, said: Any, one: Membership) -> bool:
        rows = self._rows[Event][one.member_id]
        return self.at_least(said, sum(self._is_event(said, row) for row in rows), said["count"])

    def _is_event(self, said: Any, row: Event) -> bool:
        return (
            row.kind == said["event"]
            and row.brand_id == self.brand.pk
            and self.inside(said.get("within"), row.at)
            and ("product" not in said or row.product_id in self.ids(Product, "sku", said["product"]))
            and (
                "category" not in said
                or self._category.get(row.product_id) in self.ids(Category, "code", said["category"])
            )
            and ("store" not in said or row.store_id in self.ids(Store, "code", said["store"]))
        )

    def consent(self, said: Any, one: Membership) -> bool:
        of_this = [row for row in self._rows[Consent][one.member_id] if row.purpose == said["purpose"]]
        rows = sorted((row for row in of_this if row.company_id is None), key=lambda row: (row.at, row.pk))
        return bool(rows and rows[-1].is_given) == (said["is"] == "given")

    def stop(self, said: Any, one: Membership) -> bool:
        rows = [row for row in self._rows[Stop][one.member_id] if row.lifted_at is None]
        fits = [row.corp == self.brand.corp and row.purpose in ("", said["purpose"]) for row in rows]
        return any(fits) == (said["is"] == "stopped")

    # What clerks know
    def bound(self, said: Any, one: Membership) -> bool:
        rows = [
            row for row in self._rows[Binding][one.member_id] if row.brand_id == self.brand.pk and not row.ended_at
        ]
        fits = [
            ("staff" not in said or row.staff_id in self.ids(Staff, "code", said["staff"]))
            and ("store" not in said or row.store_id in self.ids(Store, "code", said["store"]))
            for row in rows
        ]
        return any(fits) == (said["is"] == "bound")

    def friend(self, said: Any, one: Membership) -> bool:
        whose = self.ids(Staff, "code", said["staff"]) if "staff" in said else None
        rows = [row for row in self._rows[Friend][one.member_id] if row.corp == self.brand.corp]
        states = {row.state for row in rows if whose is None or row.staff_id in whose}
        is_friend = "friend" in states
        return {"friend": is_friend, "lost": "lost" in states and not is_friend, "never": not states}[said["is"]]

    def contacted(self, said: Any, one: Membership) -> bool:
        purposes = said.get("purpose", ["welcome", "service", "marketing"])
        rows = [row for row in self._rows[Touch][one.member_id] if row.corp == self.brand.corp]
        fits = [row.purpose in purposes and self.inside(said["within"], row.at) for row in rows]
        return any(fits) == (said["is"] == "in")
