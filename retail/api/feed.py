"""The feed: batches of orders, refunds, events and members from one channel, answered row by row.

Good rows are kept whatever their neighbours are; the answer says of each row what became of it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec
from django.core.exceptions import RequestDataTooBig
from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from msgspec import Struct
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from retail import database, intake, scope, shapes
from retail.api import answers, bodies, schema, words
from retail.api.schema import Problem
from retail.api.tokens import TokenPermission
from retail.models import Channel
from retail.orders import Status, Taken

JSON = "application/json"


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class _Result(Struct, omit_defaults=True, kw_only=True):
    row: int
    status: Status
    id: int | None = None
    errors: tuple[Problem, ...] = ()


class OrderResult(_Result, omit_defaults=True, kw_only=True):
    """What became of one row, counted from 0. `errors` only where the row was rejected, `id` only where not."""

    outer_order_id: str | None = None


class RefundResult(_Result, omit_defaults=True, kw_only=True):
    """What became of one row, counted from 0. `parked`: kept until its order arrives."""

    outer_refund_id: str | None = None


class EventResult(_Result, omit_defaults=True, kw_only=True):
    """What became of one row, counted from 0. `unchanged`: nothing new, such as a member who registers again."""

    outer_event_id: str | None = None


class MemberResult(_Result, omit_defaults=True, kw_only=True):
    """What became of one row, counted from 0. `id`: the member's number, the same for all rows of one person."""


class OrderAnswer(Struct):
    """`accepted` + `rejected` = the number of rows sent. Rejected rows left no trace; the others are kept."""

    results: list[OrderResult]
    accepted: int
    rejected: int


class RefundAnswer(Struct):
    """`accepted` + `rejected` = the number of rows sent. Rejected rows left no trace; the others are kept."""

    results: list[RefundResult]
    accepted: int
    rejected: int


class EventAnswer(Struct):
    """`accepted` + `rejected` = the number of rows sent. Rejected rows left no trace; the others are kept."""

    results: list[EventResult]
    accepted: int
    rejected: int


class MemberAnswer(Struct):
    """`accepted` + `rejected` = the number of rows sent. Rejected rows left no trace; the others are kept."""

    results: list[MemberResult]
    accepted: int
    rejected: int


class TooLarge(APIException):
    status_code = 413


class Conflict(APIException):
    status_code = 409
    default_detail = "This Idempotency-Key was used for another request."


Result = OrderResult | RefundResult | EventResult | MemberResult
Answer = OrderAnswer | RefundAnswer | EventAnswer | MemberAnswer


# ── Views ────────────────────────────────────────────────────────────────────────────────────────────────────────────
class Feed(ViewSet):
    """Takes one kind of batch. DRF knows the caller and the rate; the body is msgspec's alone, for its speed."""

    permission_classes = [IsAuthenticated, TokenPermission]
    schema = schema.Schema()
    decoder: ClassVar[bodies.Decoder[Any]]
    take: ClassVar[Callable[..., list[Taken]]]
    answer: ClassVar[type[Answer]]
    result: ClassVar[type[Result]]

    def create(self, request: Request) -> HttpResponse:
        body, key, now = _body(request), _key(request), timezone.now()
        if key is None:
            return self._taken(request.auth.channel, body, now)
        call = {"token": request.auth, "key": key, "request_hash": answers.request_hash(path=request.path, body=body)}
        with transaction.atomic():
            try:
                stored = answers.find(**call)
            except answers.OtherBody:
                raise Conflict from None
            if stored is not None:
                return _json(bytes(stored.answer), stored.status, {"Idempotency-Hit": "true"})
            response = self._taken(request.auth.channel, body, now)
            answers.keep(**call, status=response.status_code, answer=response.content, now=now)
        return response

    def _taken(self, channel: Channel, body: bytes, now: datetime) -> HttpResponse:
        try:
            rows = self.decoder.decode(body)
        except bodies.TooManyRows as error:
            raise TooLarge(str(error)) from None
        except bodies.BadBody as error:
            raise ParseError(str(error)) from None
        good = [row for row in rows if not isinstance(row, bodies.Refused)]
        with scope.within(scope.EVERYTHING) as everything, database.published(everything):
            outcomes = type(self).take(channel=channel, data=good, now=now) if good else []
        answer = self._answer(rows, outcomes)
        return _json(msgspec.json.encode(answer), 422 if answer.rejected else 200)

    def _answer(self, rows: Sequence[Any], outcomes: list[Taken]) -> Answer:
        number, taken = self.decoder.number, iter(outcomes)
        results = []
        for place, row in enumerate(rows):
            if isinstance(row, bodies.Refused):
                outcome, outer_id = Taken("rejected", faults=row.faults), row.number
            else:
                outcome, outer_id = next(taken), getattr(row, number, None)
            errors = tuple(words.problem(fault) for fault in outcome.faults)
            named = {number: outer_id} if number else {}
            results.append(self.result(row=place, status=outcome.status, id=outcome.id, errors=errors, **named))
        rejected = sum(result.status == "rejected" for result in results)
        return self.answer(results, len(results) - rejected, rejected)


@schema.feed(
    request=bodies.OrderBatch,
    answer=OrderAnswer,
    summary="Post orders",
    text="The same order again is `unchanged`; with other content it is `corrected`, and what was paid out on the old "
    "content is settled as a difference.",
)
class Orders(Feed):
    decoder = bodies.Decoder(batch=bodies.OrderBatch, row=shapes.Order, number="outer_order_id")
    take = intake.take_orders
    answer = OrderAnswer
    result = OrderResult


@schema.feed(
    request=bodies.RefundBatch,
    answer=RefundAnswer,
    summary="Post refunds",
    text="A refund whose order has not arrived yet is `parked` and takes effect with it.",
)
class Refunds(Feed):
    decoder = bodies.Decoder(batch=bodies.RefundBatch, row=shapes.Refund, number="outer_refund_id")
    take = intake.take_refunds
    answer = RefundAnswer
    result = RefundResult


@schema.feed(
    request=bodies.EventBatch,
    answer=EventAnswer,
    summary="Post events",
    text="`register`: the buyer became a member, recruited by the clerk of `share_code`, their own or that of a link "
    "of theirs; who is a member already is `unchanged`. All other types are kept as they are told, for 400 days: the "
    "same event again is `unchanged`, with other content it is `corrected`. A buyer nobody knows is known later.",
)
class Events(Feed):
    decoder = bodies.Decoder(batch=bodies.EventBatch, row=shapes.Event, number="outer_event_id")
    take = intake.take_events
    answer = EventAnswer
    result = EventResult


@schema.feed(
    request=bodies.MemberBatch,
    answer=MemberAnswer,
    summary="Post members",
    text="People the group already knew, told apart by their keys: the same row again is `unchanged`. Keys of several "
    "members are rejected, since nobody is merged by a feed; so is who asked to be forgotten.",
)
class Members(Feed):
    decoder = bodies.Decoder(batch=bodies.MemberBatch, row=shapes.Member, number="")
    take = intake.take_members
    answer = MemberAnswer
    result = MemberResult


def _body(request: Request) -> bytes:
    if request.content_type.partition(";")[0].strip().lower() != JSON:
        raise UnsupportedMediaType(request.content_type)
    try:
        return request.body
    except RequestDataTooBig as error:
        raise TooLarge(str(error)) from None


def _key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= 128 and key.isprintable()):
        raise ParseError("Idempotency-Key: 1 to 128 printable characters.")
    return key


def _json(body: bytes, status: int, headers: dict[str, str] | None = None) -> HttpResponse:
    return HttpResponse(body, status=status, content_type=JSON, headers=headers)
