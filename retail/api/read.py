"""The read side: lists and details for the group's own systems, inside the scope of the token.

Filters are typed and listed; a parameter nobody knows is an error, not a filter that silently does not filter.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from django import forms
from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from django_filters import rest_framework as filters
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import Cursor as Place
from rest_framework.pagination import CursorPagination
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

from commissions.models import Entry
from members import segments
from members.models import Segment, SegmentMember
from retail import orders, scope
from retail.api import schema, tokens
from retail.models import Order, OrderLine, Post, Product, Refund, Staff, Store


def _refused(faults: Iterable[tuple[str, str]]) -> ValidationError:
    errors = [{"field": field, "message": message} for field, message in faults]
    return ValidationError({"detail": "Wrong query parameters.", "errors": errors})


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────
class Cursor(CursorPagination):
    """Pages by id, oldest first: stable while rows are added, and as fast on the last page as on the first."""

    ordering = "id"
    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 500

    def get_page_size(self, request: Request) -> int:
        asked = request.query_params.get(self.page_size_query_param, str(self.page_size))
        if not (asked.isascii() and asked.isdecimal() and len(asked) < 4 and 1 <= int(asked) <= self.max_page_size):
            raise _refused([(self.page_size_query_param, f"must be 1 to {self.max_page_size}")])
        return int(asked)

    def decode_cursor(self, request: Request) -> Place | None:
        place = super().decode_cursor(request)
        # Ids are what we write into a cursor; anything else was made up.
        if place and place.position is not None and not (place.position.isdecimal() and len(place.position) < 19):
            raise _refused([(self.cursor_query_param, self.invalid_cursor_message)])
        return place


class Filters(filters.DjangoFilterBackend):
    """The filters of a view's FilterSet, each given at most once, and no other parameter."""

    def filter_queryset(self, request: Request, queryset: QuerySet, view: Any) -> QuerySet:
        filterset = self.get_filterset(request, queryset, view)
        known = {*filterset.filters, Cursor.cursor_query_param, Cursor.page_size_query_param}
        given = dict(request.query_params.lists())
        faults = [(name, "unknown parameter") for name in given if name not in known]
        faults += [(name, "give it once") for name, values in given.items() if name in known and len(values) > 1]
        faults += [(name, " ".join(messages)) for name, messages in filterset.errors.items()]
        if faults:
            raise _refused(faults)
        return filterset.qs


class _Moment(filters.IsoDateTimeFilter.field_class):  # type: ignore[misc,name-defined]  # untyped
    def clean(self, value: Any) -> Any:
        if faults := orders.time_faults("", found := super().clean(value)):
            raise forms.ValidationError(faults[0].message)
        return found


class _MomentFilter(filters.IsoDateTimeFilter):
    field_class = _Moment


def _code(name: str) -> filters.CharFilter:
    return filters.CharFilter(field_name=f"{name}__code")


class _Filters(filters.FilterSet):
    id_from = filters.NumberFilter(field_name="id", lookup_expr="gte", min_value=0, max_value=2**63 - 1)


# ── Views ────────────────────────────────────────────────────────────────────────────────────────────────────────────
class Read(ReadOnlyModelViewSet):
    """A list and a detail. Subclasses give `rows()`, the serializers and the filters."""

    permission_classes = [IsAuthenticated, tokens.TokenPermission]
    filter_backends = [Filters]
    pagination_class = Cursor
    lookup_value_regex = r"\d{1,18}"
    schema = schema.Schema()
    detail_class: ClassVar[type[serializers.BaseSerializer] | None] = None

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        with scope.within(tokens.scope_of_token(request.auth)):
            return super().list(request, *args, **kwargs)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        if request.query_params:
            raise _refused((name, "unknown parameter") for name in request.query_params)
        with scope.within(tokens.scope_of_token(request.auth)):
            return Response(self.get_serializer(self.get_object()).data)

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        return super().filter_queryset(queryset) if self.action == "list" else queryset

    def get_queryset(self) -> QuerySet:
        raise NotImplementedError

    def get_serializer_class(self) -> type[serializers.BaseSerializer]:
        return self.detail_class if self.action == "retrieve" and self.detail_class else super().get_serializer_class()


def _coded(*, allow_null: bool = False) -> serializers.SlugRelatedField:
    """A related row by its code."""
    return serializers.SlugRelatedField("code", read_only=True, allow_null=allow_null)


# ── Orders ───────────────────────────────────────────────────────────────────────────────────────────────────────────
class OrderFilters(_Filters):
    channel = _code("channel")
    brand = _code("brand")
    store = _code("store")
    outer_order_id = filters.CharFilter()
    serving_clerk = filters.CharFilter()
    paid_from = _MomentFilter(field_name="paid_at", lookup_expr="gte")
    paid_before = _MomentFilter(field_name="paid_at", lookup_expr="lt")
    received_from = _MomentFilter(field_name="received_at", lookup_expr="gte")
    received_before = _MomentFilter(field_name="received_at", lookup_expr="lt")
    is_settled = filters.BooleanFilter(field_name="settled_at", lookup_expr="isnull", exclude=True)


class OrderSummary(serializers.ModelSerializer):
    """An order without its lines. All amounts in fen."""

    channel = _coded()
    brand = _coded()
    store = _coded(allow_null=True)
    fulfil_store = _coded(allow_null=True)

    class Meta:
        model = Order
        fields = (
            "id",
            "channel",
            "outer_order_id",
            "version",
            "brand",
            "store",
            "paid_at",
            "delivered_at",
            "serving_clerk",
            "fulfil_store",
            "fulfilling_clerk",
            "share_code",
            "chat_id",
            "live_event",
            "coupons",
            "points_used",
            "tag_fen",
            "paid_fen",
            "received_at",
            "settled_at",
        )
        read_only_fields = fields


class LineDetail(serializers.ModelSerializer):
    sku = serializers.SlugRelatedField("sku", source="product", read_only=True)
    brand = serializers.CharField(source="brand_label")
    category = serializers.CharField(source="category_label")

    class Meta:
        model = OrderLine
        fields = (
            "id",
            "outer_line_id",
            "sku",
            "brand",
            "category",
            "qty",
            "tag_fen",
            "paid_fen",
            "is_gift",
            "serving_clerk",
        )
        read_only_fields = fields


class RefundDetail(serializers.ModelSerializer):
    """Exactly one of `fen` (this refund), `cumulative_fen` (all of the line so far) and `qty` is given."""

    class Meta:
        model = Refund
        fields = (
            "id",
            "outer_refund_id",
            "version",
            "outer_line_id",
            "refunded_at",
            "fen",
            "cumulative_fen",
            "qty",
            "received_at",
            "settled_at",
        )
        read_only_fields = fields


class OrderDetail(OrderSummary):
    """An order with its lines and refunds. All amounts in fen."""

    lines = LineDetail(many=True, read_only=True)
    refunds = RefundDetail(many=True, read_only=True)

    class Meta(OrderSummary.Meta):
        fields = (*OrderSummary.Meta.fields, "lines", "refunds")
        read_only_fields = fields


class Orders(Read):
    """Orders with their lines and refunds (in the detail), as the channels said them. All amounts in fen."""

    serializer_class = OrderSummary
    detail_class = OrderDetail
    filterset_class = OrderFilters

    def get_queryset(self) -> QuerySet:
        orders = Order.objects.select_related("channel", "brand", "store", "fulfil_store")
        if self.action != "retrieve":
            return orders
        lines = OrderLine.objects.select_related("product").order_by("pk")
        return orders.prefetch_related(Prefetch("lines", lines), Prefetch("refunds", Refund.objects.order_by("pk")))


# ── Products, stores, staff ──────────────────────────────────────────────────────────────────────────────────────────
class ProductFilters(_Filters):
    sku = filters.CharFilter()
    brand = _code("brand")
    category = _code("category")
    is_sold = filters.BooleanFilter()


class ProductDetail(serializers.ModelSerializer):
    """`tag_fen`: the price on the tag of one piece."""

    brand = _coded()
    category = _coded()

    class Meta:
        model = Product
        fields = ("id", "sku", "name", "brand", "category", "tag_fen", "is_sold")
        read_only_fields = fields


class Products(Read):
    """What is sold; `tag_fen` is the price on the tag of one piece."""

    serializer_class = ProductDetail
    filterset_class = ProductFilters

    def get_queryset(self) -> QuerySet:
        return Product.objects.select_related("brand", "category")


class StoreFilters(_Filters):
    code = filters.CharFilter()
    brand = _code("brand")
    region = _code("region")
    franchisee = _code("franchisee")
    city = filters.CharFilter()
    is_open = filters.BooleanFilter()


class StoreDetail(serializers.ModelSerializer):
    brand = _coded()
    region = _coded(allow_null=True)
    franchisee = _coded(allow_null=True)

    class Meta:
        model = Store
        fields = ("id", "code", "name", "brand", "region", "franchisee", "city", "is_open")
        read_only_fields = fields


class Stores(Read):
    """Stores, with the company that owns each (`franchisee` null: the brand itself)."""

    serializer_class = StoreDetail
    filterset_class = StoreFilters

    def get_queryset(self) -> QuerySet:
        return Store.objects.select_related("brand", "region", "franchisee")


class StaffFilters(_Filters):
    """People who hold a post in such a place, or of such a role, now."""

    code = filters.CharFilter()
    store = filters.CharFilter(method="holding")
    role = filters.ChoiceFilter(choices=Post.Role.choices, method="holding")

    def holding(self, people: QuerySet, name: str, value: str) -> QuerySet:
        path = {"store": "store__code", "role": "role"}[name]
        return people.filter(pk__in=_posts().at(timezone.now()).filter(**{path: value}).values("staff"))


def _posts() -> Any:
    """The posts of the scope: where else somebody works is not for the eyes of one store."""
    return Post.objects.filter(scope.current().rows(Post.scope_paths))


class PostDetail(serializers.ModelSerializer):
    """A role in a place, from `starts_at` until `ends_at` (null: open)."""

    store = _coded(allow_null=True)
    region = _coded(allow_null=True)
    franchisee = _coded(allow_null=True)

    class Meta:
        model = Post
        fields = ("role", "store", "region", "franchisee", "starts_at", "ends_at")
        read_only_fields = fields


class StaffDetail(serializers.ModelSerializer):
    """A person employed, with the posts past and present that the token may see."""

    posts = PostDetail(many=True, read_only=True)

    class Meta:
        model = Staff
        fields = ("id", "code", "name", "share_code", "posts")
        read_only_fields = fields


class People(Read):
    """Staff with their posts. The filters look at posts held now."""

    serializer_class = StaffDetail
    filterset_class = StaffFilters

    def get_queryset(self) -> QuerySet:
        posts = _posts().select_related("store", "region", "franchisee")
        return Staff.objects.prefetch_related(Prefetch("posts", posts.order_by("starts_at", "pk")))


# ── Segments ─────────────────────────────────────────────────────────────────────────────────────────────────────────
class SegmentFilters(_Filters):
    brand = _code("brand")
    kind = filters.ChoiceFilter(choices=Segment.Kind.choices)
    is_ended = filters.BooleanFilter(field_name="ended_at", lookup_expr="isnull", exclude=True)


class SegmentDetail(serializers.ModelSerializer):
    """People of a brand who fit a condition; `frozen`: who did when the list was drawn."""

    brand = _coded()

    class Meta:
        model = Segment
        fields = ("id", "brand", "name", "kind", "created_at", "refreshed_at", "ended_at")
        read_only_fields = fields


class Segments(Read):
    """Segments (人群) of the brands of the token. Who is in them: /segment-members/."""

    serializer_class = SegmentDetail
    filterset_class = SegmentFilters

    def get_queryset(self) -> QuerySet:
        return Segment.objects.select_related("brand")


class SegmentMemberFilters(_Filters):
    segment = filters.NumberFilter(min_value=0, max_value=2**63 - 1)
    entered_from = _MomentFilter(field_name="entered_at", lookup_expr="gte")
    entered_before = _MomentFilter(field_name="entered_at", lookup_expr="lt")


class SegmentMemberDetail(serializers.ModelSerializer):
    """`member`: the person; `membership`: their standing with the brand of the segment."""

    member = serializers.IntegerField(source="membership.member_id", read_only=True)

    class Meta:
        model = SegmentMember
        fields = ("id", "segment", "member", "membership", "entered_at")
        read_only_fields = fields


class SegmentMembers(Read):
    """Who is in the segments in use, as of their last refresh, of those whom the token may see."""

    serializer_class = SegmentMemberDetail
    filterset_class = SegmentMemberFilters

    def get_queryset(self) -> QuerySet:
        in_use = Segment.objects.filter(ended_at=None).order_by().values("pk")
        return segments.shown(SegmentMember.objects.filter(segment__in=in_use)).select_related("membership")


# ── Entries ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class EntryFilters(_Filters):
    brand = _code("brand")
    store = _code("store")
    staff = _code("staff")
    payer = _code("payer")
    order = filters.NumberFilter(min_value=0, max_value=2**63 - 1)
    kind = filters.ChoiceFilter(choices=Entry.Kind.choices)
    state = filters.ChoiceFilter(choices=[(state, state) for state in Entry.STATES])
    paid_from = _MomentFilter(field_name="paid_at", lookup_expr="gte")
    paid_before = _MomentFilter(field_name="paid_at", lookup_expr="lt")
    posted_from = _MomentFilter(field_name="posted_at", lookup_expr="gte")
    posted_before = _MomentFilter(field_name="posted_at", lookup_expr="lt")
    earned_from = filters.DateFilter(field_name="earned_on", lookup_expr="gte")
    earned_before = filters.DateFilter(field_name="earned_on", lookup_expr="lt")


class EntryDetail(serializers.ModelSerializer):
    """One leg of a transaction `txn`, whose legs add up to 0. `staff` null: the house. All amounts in fen."""

    brand = _coded()
    payer = _coded(allow_null=True)
    staff = _coded(allow_null=True)
    store = _coded(allow_null=True)
    rule = _coded(allow_null=True)
    state = serializers.ChoiceField(choices=list(Entry.STATES), read_only=True)

    class Meta:
        model = Entry
        fields = (
            "id",
            "txn",
            "kind",
            "state",
            "brand",
            "payer",
            "order",
            "line",
            "role",
            "rule",
            "staff",
            "store",
            "fen",
            "base_fen",
            "pool_fen",
            "paid_at",
            "posted_at",
            "earned_on",
            "reverses",
        )
        read_only_fields = fields


class Entries(Read):
    """Legs of commission. Those of one `txn` add up to 0; `staff` null is the house. All amounts in fen."""

    serializer_class = EntryDetail
    filterset_class = EntryFilters

    def get_queryset(self) -> QuerySet:
        entries = Entry.objects.with_state(timezone.localdate())
        return entries.select_related("brand", "payer", "staff", "store", "rule")
