"""Taking down what the channels say: orders, lines and refunds, each once, every version kept.

A batch is written with COPY under a lock of its channel, so that the same batch sent twice at once is written once.
Nothing is interpreted here; see `retail.intake` for what follows.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, cast

import msgspec
from django.db import connection
from django.db.models import F

from retail import catalog, privacy, shapes
from retail.models import Brand, Channel, Order, OrderLine, OrderVersion, Refund, RefundVersion

# Outside of these years a time is a mistake; near year 1 and 9999 Python cannot even read back what it wrote.
EARLIEST, LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
FAR = timedelta(hours=16)  # Python reads offsets of up to a day, PostgreSQL none from here on


class Fault(NamedTuple):
    """What is wrong with a row, and in which field ("lines[2].sku")."""

    field: str
    message: str


Status = Literal["created", "unchanged", "corrected", "parked", "rejected"]


@dataclass(slots=True)
class Taken:
    """The outcome of one row. `id` is that of the Order or Refund, `buyer_key` the order's first one, `left_order` the
    id of the order that a corrected refund belonged to before; faults only when rejected.
    """

    status: Status
    id: int | None = None
    buyer_key: int | None = None
    left_order: int | None = None
    faults: list[Fault] = field(default_factory=list)


# ── Orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────
class Label(NamedTuple):
    """What an order needs to know of a brand; the model row of a channel's brand has the same names."""

    id: int
    code: str
    corp: str


class Shop(NamedTuple):
    """What an order needs to know of a store."""

    id: int
    brand: Label


@dataclass(slots=True)
class _References:
    """What the codes of a batch stand for."""

    stores: dict[str, Shop]
    products: dict[str, catalog.Sold]
    labels: set[str]


class _Resolved(NamedTuple):
    """A row with its codes looked up."""

    data: shapes.Order
    brand_id: int
    store_id: int | None
    fulfil_store_id: int | None
    products: list[catalog.Sold]
    buyer: list[privacy.Known]
    fingerprint: bytes


def record(*, channel: Channel, data: Sequence[shapes.Order], now: datetime) -> list[Taken]:
    """Take down orders of one channel inside the caller's transaction; the outcome of each row, in order.

    A row whose codes are unknown is rejected with its faults, the others are kept. The same order again is
    `unchanged`; with other content it is `corrected`: lines not named again stay as they are.
    """
    outcomes: list[Taken] = []
    resolved: dict[str, _Resolved] = {}
    known = _references(data)
    for row in data:
        answer = _resolve(channel, row, known)
        if isinstance(answer, list):
            outcomes.append(Taken("rejected", faults=answer))
        elif resolved.setdefault(row.outer_order_id, answer).fingerprint != answer.fingerprint:
            outcomes.append(Taken("rejected", faults=[Fault("outer_order_id", "appears twice in this batch")]))
        else:
            outcomes.append(Taken("created"))
    if resolved:
        _lock(channel)
        written = _write(channel, resolved, now)
        for row, outcome in zip(data, outcomes, strict=True):
            if outcome.status != "rejected":
                outcome.id, outcome.status, outcome.buyer_key = written[row.outer_order_id]
    return outcomes


def _lock(channel: Channel) -> None:
    """One writer per channel at a time, until commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('feed'), %s)", [channel.pk])


def _references(data: Sequence[shapes.Order]) -> _References:
    codes = {code for row in data for code in (row.store_code, row.fulfil_store_code) if code}
    labels = {line.brand for row in data for line in row.lines if line.brand}
    return _References(
        stores=stores(codes) if codes else {},
        products=catalog.products_by_sku({line.sku for row in data for line in row.lines}),
        labels=set(Brand.objects.filter(code__in=labels).values_list("code", flat=True)) if labels else set(),
    )


def stores(codes: Iterable[str]) -> dict[str, Shop]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.code, s.id, b.id, b.code, b.corp FROM retail_store s JOIN retail_brand b ON b.id = s.brand_id"
            " WHERE s.code = ANY(%s)",
            [list(codes)],
        )
        return {code: Shop(pk, Label(*brand)) for code, pk, *brand in cursor.fetchall()}


def _resolve(channel: Channel, row: shapes.Order, known: _References) -> _Resolved | list[Fault]:
    faults: list[Fault] = []
    if row.channel != channel.code:
        faults.append(Fault("channel", f"is {row.channel!r}, but these orders are taken for {channel.code!r}"))
    faults += time_faults("paid_at", row.paid_at)
    faults += time_faults("delivered_at", row.delivered_at)
    store = known.stores.get(row.store_code) if row.store_code else None
    fulfil = known.stores.get(row.fulfil_store_code) if row.fulfil_store_code else None
    if row.store_code and store is None:
        faults.append(Fault("store_code", f"unknown store {row.store_code!r}"))
    if row.fulfil_store_code and fulfil is None:
        faults.append(Fault("fulfil_store_code", f"unknown store {row.fulfil_store_code!r}"))
    brand = store.brand if store else channel.brand
    if brand is None and not faults:
        faults.append(Fault("store_code", f"channel {channel.code!r} serves several brands: give the store"))
    products = [known.products.get(line.sku) for line in row.lines]
    faults += _line_faults(row.lines, products, known.labels)
    buyer, wrong = identities(channel, brand, row.buyer)
    faults += wrong
    if faults or brand is None:
        return faults
    sold = cast(list[catalog.Sold], products)
    return _Resolved(
        row, brand.id, store.id if store else None, fulfil.id if fulfil else None, sold, buyer, _fingerprint(row)
    )


def _line_faults(
    lines: Sequence[shapes.Line], products: Sequence[catalog.Sold | None], labels: set[str]
) -> Iterator[Fault]:
    seen = set()
    for place, (line, product) in enumerate(zip(lines, products, strict=True)):
        if product is None:
            yield Fault(f"lines[{place}].sku", f"unknown SKU {line.sku!r}")
        if line.brand and line.brand not in labels:
            yield Fault(f"lines[{place}].brand", f"unknown brand {line.brand!r}")
        if line.paid_fen < 0 < line.qty:
            yield Fault(f"lines[{place}].paid_fen", "is negative, but qty is not: money given back is a refund")
        if line.outer_line_id in seen:
            yield Fault(f"lines[{place}].outer_line_id", f"{line.outer_line_id!r} appears twice")
        seen.add(line.outer_line_id)


def time_faults(name: str, time: datetime | None) -> list[Fault]:
    if time is None:
        return []
    if not -FAR < (time.utcoffset() or timedelta()) < FAR:
        return [Fault(name, "must have an offset of less than 16 hours")]
    # Most are told by their year: comparing moments of two zones takes long.
    if EARLIEST.year < time.year < LATEST.year - 1 or EARLIEST <= time < LATEST:
        return []
    return [Fault(name, f"must be from {EARLIEST:%Y} to before {LATEST:%Y}")]


def identities(
    channel: Channel | None, brand: Label | Brand | None, buyer: Iterable[shapes.Buyer]
) -> tuple[list[privacy.Known], list[Fault]]:
    """The buyer's keys with what makes them unique: the corp of an external_userid, the channel of its own ids."""
    keys, faults = [], []
    for place, one in enumerate(buyer):
        scope = ""
        if one.type == "external_userid":
            scope = (channel.corp if channel else "") or (brand.corp if brand else "")
        elif one.type == "channel_id" and channel is None:
            faults.append(Fault(f"buyer[{place}]", "channel_id: give the channel whose number it is"))
            continue
        elif one.type == "channel_id":
            assert channel is not None
            scope = channel.code
        elif one.type == "card":
            scope = brand.code if brand else ""
        try:
            keys.append(privacy.normalised(privacy.Known(one.type, scope, one.value)))
        except privacy.BadValue as error:
            faults.append(Fault(f"buyer[{place}]", str(error)))
    return keys, faults


def _fingerprint(row: msgspec.Struct) -> bytes:
    return hashlib.blake2b(shapes.encode(row), digest_size=16).digest()


class _Written(NamedTuple):
    id: int
    status: Status
    buyer_key: int | None = None


def _write(channel: Channel, rows: dict[str, _Resolved], now: datetime) -> dict[str, _Written]:
    standing = _standing(channel, list(rows))
    written: dict[str, _Written] = {}
    fresh, changed = [], []
    for number, row in rows.items():
        if standing[number].fingerprint is None:
            fresh.append(row)
        elif standing[number].fingerprint != row.fingerprint:
            changed.append(row)
        else:
            written[number] = _Written(standing[number].id, "unchanged")
    if not fresh and not changed:
        return written
    fresh, changed = _without_forgotten(fresh, changed)
    keys = privacy.keep(known for row in [*fresh, *changed] for known in row.buyer)
    _insert(channel, [(standing[row.data.outer_order_id].id, row) for row in fresh], keys, now)
    for row in fresh:
        written[row.data.outer_order_id] = _Written(
            standing[row.data.outer_order_id].id, "created", _first_key(row, keys)
        )
    if changed:  # all at once and by id, as settling does: in the order of the feed they would deadlock with it
        ids = [standing[row.data.outer_order_id].id for row in changed]
        list(Order.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk").values_list("pk"))
    for row in changed:
        pk = standing[row.data.outer_order_id].id
        status: Status = "corrected" if _correct(pk, row, keys, now) else "unchanged"
        written[row.data.outer_order_id] = _Written(pk, status, _first_key(row, keys))
    _unpark(channel, [number for number, order in standing.items() if order.has_parked])
    return written


def _without_forgotten(*batches: list[_Resolved]) -> Iterator[list[_Resolved]]:
    """The rows without the buyers who asked to be forgotten after they bought: what is told again is not known again.

    Who buys anew, and says who they are, is known from then on.
    """
    gone = privacy.suppressed({known for rows in batches for row in rows for known in row.buyer})
    for rows in batches:
        yield (
            [
                row._replace(
                    buyer=[known for known in row.buyer if known not in gone or gone[known] < row.data.paid_at]
                )
                for row in rows
            ]
            if gone
            else rows
        )


class _Standing(NamedTuple):
    """An order as it stands: the id it has or is to get, its fingerprint if it is known, refunds that wait for it."""

    id: int
    fingerprint: bytes | None
    has_parked: bool


def _standing(channel: Channel, numbers: list[str]) -> dict[str, _Standing]:
    """By number. The ids of new ones, in the order of the feed, come with the same statement.

    LATERAL and LIMIT keep PostgreSQL at one look into an index for each number, whatever it believes of the table.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n.number, coalesce(o.id, nextval('retail_order_id_seq')), o.fingerprint, o.id IS NULL AND EXISTS ("
            " SELECT FROM retail_refund r"
            " WHERE r.order_id IS NULL AND r.channel_id = %(channel)s AND r.outer_order_id = n.number"
            ") FROM unnest(%(numbers)s::text[]) WITH ORDINALITY AS n(number, place) LEFT JOIN LATERAL ("
            " SELECT id, fingerprint FROM retail_order"
            " WHERE channel_id = %(channel)s AND outer_order_id = n.number LIMIT 1"
            ") o ON true ORDER BY n.place",
            {"channel": channel.pk, "numbers": numbers},
        )
        rows = cursor.fetchall()
    return {number: _Standing(pk, known and bytes(known), parked) for number, pk, known, parked in rows}


def _first_key(row: _Resolved, keys: dict[privacy.Known, int]) -> int | None:
    return keys[row.buyer[0]] if row.buyer else None


_ORDER_COLUMNS = (
    "id, channel_id, outer_order_id, version, fingerprint, brand_id, store_id, paid_at, delivered_at, buyer_keys,"
    " serving_clerk, fulfil_store_id, fulfilling_clerk, share_code, chat_id, live_event, coupons, points_used,"
    " tag_fen, paid_fen, received_at, settled_version"
)
_LINE_COLUMNS = (
    "order_id, outer_line_id, product_id, brand_label, category_label, qty, tag_fen, paid_fen, cost_fen, is_gift,"
    " serving_clerk"
)


def _insert(
    channel: Channel, rows: list[tuple[int, _Resolved]], keys: dict[privacy.Known, int], now: datetime
) -> None:
    """COPY new orders, under these ids, and their lines."""
    if not rows:
        return
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY retail_order ({_ORDER_COLUMNS}) FROM STDIN") as copy:
            for pk, row in rows:
                header = _header(row, keys)
                # Arrays in PostgreSQL's own spelling: psycopg takes longer for a list than for all the rest of a row.
                header["buyer_keys"] = f"{{{','.join(map(str, header['buyer_keys']))}}}"
                header["coupons"] = header["coupons"] or "{}"
                copy.write_row((pk, channel.pk, row.data.outer_order_id, 1, row.fingerprint, *header.values(), now, 0))
        with cursor.copy(f"COPY retail_orderline ({_LINE_COLUMNS}) FROM STDIN") as copy:
            for pk, row in rows:
                for line, product in zip(row.data.lines, row.products, strict=True):
                    copy.write_row((pk, line.outer_line_id, *_line(line, product).values()))


def _header(row: _Resolved, keys: dict[privacy.Known, int]) -> dict[str, Any]:
    """The content of an order row, in the order of _ORDER_COLUMNS. Buyer keys keep the feed's order."""
    data = row.data
    return {
        "brand_id": row.brand_id,
        "store_id": row.store_id,
        "paid_at": data.paid_at,
        "delivered_at": data.delivered_at,
        "buyer_keys": list(dict.fromkeys(keys[known] for known in row.buyer)),
        "serving_clerk": data.serving_clerk or "",
        "fulfil_store_id": row.fulfil_store_id,
        "fulfilling_clerk": data.fulfilling_clerk or "",
        "share_code": data.share_code or "",
        "chat_id": data.chat_id or "",
        "live_event": data.live_event or "",
        "coupons": list(data.coupons),
        "points_used": data.points_used,
        "tag_fen": sum(line.tag_fen for line in data.lines),
        "paid_fen": sum(line.paid_fen for line in data.lines),
    }


def _line(line: shapes.Line, product: catalog.Sold) -> dict[str, Any]:
    """The content of a line row, in the order of _LINE_COLUMNS."""
    return {
        "product_id": product.id,
        "brand_label": line.brand or product.brand_code,
        "category_label": line.category or product.category_code,
        "qty": line.qty,
        "tag_fen": line.tag_fen,
        "paid_fen": line.paid_fen,
        "cost_fen": line.cost_fen,
        "is_gift": line.is_gift,
        "serving_clerk": line.serving_clerk or "",
    }


def _correct(order_id: int, row: _Resolved, keys: dict[privacy.Known, int], now: datetime) -> bool:
    """Keep the present version in OrderVersion, then state the new one; False when it says what already stands."""
    order = Order.objects.select_for_update(of=("self",)).get(pk=order_id)
    lines = {line.outer_line_id: line for line in order.lines.all()}
    header = _header(row, keys)
    restated = {
        said.outer_line_id: _line(said, product) for said, product in zip(row.data.lines, row.products, strict=True)
    }
    kept = [line for number, line in lines.items() if number not in restated]
    for amount in ("tag_fen", "paid_fen"):
        header[amount] += sum(getattr(line, amount) for line in kept)
    known = [(lines.get(number), content) for number, content in restated.items()]
    if _says(order, header) and all(line and _says(line, content) for line, content in known):
        return False
    line_fields = ("outer_line_id", *next(iter(restated.values())))
    document = {**_document(order, header), "lines": [_document(line, line_fields) for line in lines.values()]}
    OrderVersion.objects.create(order=order, version=order.version, document=document, superseded_at=now)
    order.version += 1
    order.fingerprint = row.fingerprint
    _assign(order, header)
    order.save()
    for number, content in restated.items():
        line = lines.get(number) or OrderLine(order=order, outer_line_id=number)
        _assign(line, content)
        line.save()
    return True


def _says(row: Any, content: dict[str, Any]) -> bool:
    return all(getattr(row, name) == value for name, value in content.items())


def _document(row: Any, fields: Iterable[str]) -> dict[str, Any]:
    """The named fields of a row as plain JSON."""
    return msgspec.to_builtins({name: getattr(row, name) for name in fields})


def _assign(row: Any, content: dict[str, Any]) -> None:
    for name, value in content.items():
        setattr(row, name, value)


def with_other_clerks(*, orders: Sequence[Order]) -> set[int]:
    """Ids of those orders that name other clerks now than they did when they were settled."""
    if not orders:
        return set()
    settled = OrderVersion.objects.filter(order__in=orders, version=F("order__settled_version"))
    documents = dict(settled.values_list("order_id", "document"))
    return {order.pk for order in orders if _names_others(order, documents[order.pk])}


def _names_others(order: Order, before: dict[str, Any]) -> bool:
    said_before = {line["outer_line_id"]: line["serving_clerk"] for line in before["lines"]}
    return any(
        before[name] != getattr(order, name) for name in ("serving_clerk", "fulfilling_clerk", "share_code")
    ) or any(
        # A line that was added names somebody new when it names anybody.
        line.serving_clerk != said_before.get(line.outer_line_id, "")
        for line in order.lines.all()
    )


# ── Refunds ──────────────────────────────────────────────────────────────────────────────────────────────────────────
_AMOUNTS = ("fen", "cumulative_fen", "qty")
_REFUND_CONTENT = ("outer_order_id", "outer_line_id", "refunded_at", *_AMOUNTS)


def record_refunds(*, channel: Channel, data: Sequence[shapes.Refund], now: datetime) -> list[Taken]:
    """Take down refunds of one channel inside the caller's transaction; the outcome of each row, in order.

    A refund whose order is not known yet is `parked` until the order arrives; one that names a line its order has not
    is rejected.
    """
    _lock(channel)
    orders = {
        order.outer_order_id: order
        for order in Order.objects.filter(channel=channel, outer_order_id__in={row.outer_order_id for row in data})
    }
    lines = set(
        OrderLine.objects.filter(order__in=orders.values()).values_list("order__outer_order_id", "outer_line_id")
    )
    existing = {
        refund.outer_refund_id: refund
        for refund in Refund.objects.filter(channel=channel, outer_refund_id__in={row.outer_refund_id for row in data})
    }
    outcomes: list[Taken] = []
    fresh: list[tuple[Taken, Refund]] = []
    for row in data:
        order = orders.get(row.outer_order_id)
        refund = existing.get(row.outer_refund_id)
        faults = _refund_faults(channel, row, order, lines)
        if faults:
            outcomes.append(Taken("rejected", faults=faults))
        elif refund is None:
            refund = Refund(channel=channel, outer_refund_id=row.outer_refund_id, order=order, received_at=now)
            _assign(refund, {name: getattr(row, name) for name in _REFUND_CONTENT})
            existing[row.outer_refund_id] = refund
            outcomes.append(Taken("created" if order else "parked"))
            fresh.append((outcomes[-1], refund))
        elif all(getattr(refund, name) == getattr(row, name) for name in _REFUND_CONTENT):
            outcomes.append(Taken("unchanged", refund.pk))
        elif refund.pk is None:
            outcomes.append(Taken("rejected", faults=[Fault("outer_refund_id", "appears twice in this batch")]))
        else:
            left = refund.order_id if order is None or refund.order_id != order.pk else None
            outcomes.append(Taken(_correct_refund(refund, row, order, now), refund.pk, left_order=left))
    Refund.objects.bulk_create([refund for _, refund in fresh])
    for outcome, refund in fresh:
        outcome.id = refund.pk
    return outcomes


def _refund_faults(
    channel: Channel, row: shapes.Refund, order: Order | None, lines: set[tuple[str, str]]
) -> list[Fault]:
    faults = time_faults("refunded_at", row.refunded_at)
    if row.channel != channel.code:
        faults.append(Fault("channel", f"is {row.channel!r}, but these refunds are taken for {channel.code!r}"))
    if order is not None and (row.outer_order_id, row.outer_line_id) not in lines:
        faults.append(Fault("outer_line_id", f"order {row.outer_order_id!r} has no line {row.outer_line_id!r}"))
    return faults


def _correct_refund(refund: Refund, row: shapes.Refund, order: Order | None, now: datetime) -> Status:
    document = _document(refund, _REFUND_CONTENT)
    RefundVersion.objects.create(refund=refund, version=refund.version, document=document, superseded_at=now)
    _assign(refund, {name: getattr(row, name) for name in _REFUND_CONTENT})
    refund.order, refund.version, refund.settled_at = order, refund.version + 1, None
    refund.trouble, refund.excess = "", 0
    refund.save()
    return "corrected"


def _unpark(channel: Channel, numbers: list[str]) -> None:
    """Give waiting refunds their order; they are settled together with it."""
    if not numbers:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE retail_refund r SET order_id = o.id FROM retail_order o WHERE r.order_id IS NULL"
            " AND r.channel_id = %(channel)s AND r.outer_order_id = ANY(%(numbers)s)"
            " AND o.channel_id = %(channel)s AND o.outer_order_id = r.outer_order_id",
            {"channel": channel.pk, "numbers": numbers},
        )


def note_trouble(*, excess: dict[int, int], astray: Iterable[int]) -> None:
    """Keep at the refunds what no line could take: by refund id the excess, and those whose line does not exist.

    Nothing is taken back for it; the list of refunds shows it to whoever has to ask the channel.
    """
    for refund_id, amount in excess.items():
        Refund.objects.filter(pk=refund_id).update(trouble=Refund.Trouble.EXCESS, excess=amount)
    Refund.objects.filter(pk__in=list(astray)).update(trouble=Refund.Trouble.NO_LINE)
