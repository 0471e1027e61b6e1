"""The addresses under /api/."""

from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.routers import SimpleRouter

from retail.api import feed, read


# One address: GET reads, POST feeds.
class Orders(read.Orders, feed.Orders):
    pass


router = SimpleRouter()
router.register("orders", Orders, basename="order")
router.register("refunds", feed.Refunds, basename="refund")
router.register("events", feed.Events, basename="event")
router.register("members", feed.Members, basename="member")
router.register("coupon-claims", feed.CouponClaims, basename="couponclaim")
router.register("products", read.Products, basename="product")
router.register("stores", read.Stores, basename="store")
router.register("staff", read.People, basename="staff")
router.register("segments", read.Segments, basename="segment")
router.register("segment-members", read.SegmentMembers, basename="segmentmember")
router.register("entries", read.Entries, basename="entry")

urlpatterns = [
    path("v1/", include(router.urls)),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
]
