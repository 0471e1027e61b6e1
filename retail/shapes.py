"""The vocabulary of the feed: one set of typed shapes for REST, CSV and OpenAPI.

Amounts are integer fen of the whole line; times are ISO 8601 with an offset. Unknown fields are refused by name.
Shapes never point back at themselves, so the collector of garbage need not look at them (`gc=False`).
"""

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

Code = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00]*$")]
StaffCode = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[^\x00]*$")]
Moment = Annotated[datetime, Meta(tz=True)]
# Ten billion yuan: beyond it a figure is a mistake, and sums of a year still fit into a bigint.
Fen = Annotated[int, Meta(ge=-(10**12), le=10**12)]
Pieces = Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]
IdentityType = Literal["phone", "unionid", "external_userid", "card", "channel_id"]


class Buyer(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One way the channel knows the buyer."""

    type: IdentityType
    value: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00]*$")]


class Line(Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """tag_fen: tag price × qty; paid_fen: after all discounts; cost_fen: of one piece.

    For a piece brought back in an exchange qty is negative, and the amounts with it; only then may paid_fen be.
    """

    outer_line_id: Code
    sku: Code
    brand: Code | None = None
    category: Code | None = None
    qty: Pieces
    tag_fen: Fen
    paid_fen: Fen
    cost_fen: Fen | None = None
    is_gift: bool = False
    serving_clerk: StaffCode | None = None


class Order(Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """An order with one or more lines. The same key again changes nothing; other content is the next version.

    share_code: a clerk's own, or that of a link a clerk shared.
    """

    channel: Code
    outer_order_id: Code
    paid_at: Moment
    delivered_at: Moment | None = None
    store_code: Code | None = None
    buyer: Annotated[tuple[Buyer, ...], Meta(max_length=20)] = ()
    serving_clerk: StaffCode | None = None
    fulfil_store_code: Code | None = None
    fulfilling_clerk: StaffCode | None = None
    share_code: Code | None = None
    chat_id: Code | None = None
    live_event: Code | None = None
    coupons: Annotated[tuple[Code, ...], Meta(max_length=50)] = ()
    points_used: Annotated[int, Meta(ge=0, le=10**9)] = 0
    lines: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=1000)]


class Refund(Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """Money given back on one line, said in exactly one of fen (this refund), cumulative_fen (all so far) or qty."""

    channel: Code
    outer_refund_id: Code
    outer_order_id: Code
    outer_line_id: Code
    refunded_at: Moment
    fen: Annotated[int, Meta(ge=0, le=10**12)] | None = None
    cumulative_fen: Annotated[int, Meta(ge=0, le=10**12)] | None = None
    qty: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None

    def __post_init__(self) -> None:
        if [self.fen, self.cumulative_fen, self.qty].count(None) != 2:
            raise ValueError("Give exactly one of `fen`, `cumulative_fen` and `qty`")


EventType = Literal[
    "register",
    "view",
    "cart",
    "favourite",
    "visit",
    "live_watch",
    "order_placed",
    "order_closed",
    "asked",
    "replied",
    "complained",
    "restocked",
    "sold_out",
    "price_cut",
]
OF_PRODUCTS = frozenset({"restocked", "sold_out", "price_cut"})


class Event(Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """Something a buyer did other than buying, or what happened to a product that some buyers wanted.

    `register`: they became a member of the brand, recruited by the clerk of `share_code`. Elsewhere `share_code` says
    whose link led there. It may be a clerk's own code or that of one of their links. seconds: how long they looked or
    watched; order: the number of the order it is about; fen: what that order comes to, or the price from now on.
    `restocked`, `sold_out`, `price_cut`: of the product `sku`, nobody's doing: they have no `buyer`, all others do.
    """

    channel: Code
    outer_event_id: Code
    type: EventType
    at: Moment
    buyer: Annotated[tuple[Buyer, ...], Meta(max_length=20)] = ()
    sku: Code | None = None
    store_code: Code | None = None
    share_code: Code | None = None
    live_event: Code | None = None
    seconds: Annotated[int, Meta(ge=0, le=86_400)] | None = None
    order: Code | None = None
    fen: Annotated[int, Meta(ge=0, le=10**12)] | None = None


class Consent(Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """What a member allowed, or took back, by which version of a text.

    marketing: being written to about offers; profiling: what is worked out about them, and leads; phone: their number
    given to `company`, the code of a franchisee. Without `company` it was given to the group itself.
    """

    purpose: Literal["marketing", "profiling", "phone"]
    is_given: bool
    at: Moment
    text_version: Annotated[str, Meta(max_length=32, pattern=r"^[^\x00]*$")] | None = None
    company: Code | None = None


class Member(Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """Somebody the group already knew, by any of the ways it knows them. What is left out stays as it is.

    channel: the one whose buyer number a `channel_id` is; clerk: whose customer they are; points: the balance they
    bring along; tags: by name.
    """

    channel: Code | None = None
    buyer: Annotated[tuple[Buyer, ...], Meta(min_length=1, max_length=20)]
    name: Annotated[str, Meta(max_length=64, pattern=r"^[^\x00]*$")] | None = None
    birthday: date | None = None
    registered_at: Moment | None = None
    store_code: Code | None = None
    clerk: StaffCode | None = None
    tier: Code | None = None
    points: Annotated[int, Meta(ge=0, le=10**9)] | None = None
    tags: Annotated[tuple[Code, ...], Meta(max_length=50)] = ()
    consents: Annotated[tuple[Consent, ...], Meta(max_length=20)] = ()


class CouponClaim(Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """A member names the code of a coupon, and has it from then on."""

    channel: Code
    code: Code
    buyer: Annotated[tuple[Buyer, ...], Meta(min_length=1, max_length=20)]


def encode(shape: Struct) -> bytes:
    """The canonical bytes of a shape: equal content, equal bytes."""
    return msgspec.json.encode(shape)
