"""The brands' rules for customers who are nobody's, and what a few clerks claimed today."""

from datetime import datetime

from clerks import pool
from clerks.models import Pooled, PoolPolicy
from retail.models import Brand, Employment, Post, Store

STORES, EACH = 6, 2  # in so many stores one clerk claimed so many


def run(*, now: datetime) -> None:
    for place, brand in enumerate(Brand.objects.order_by("pk")):
        PoolPolicy.objects.create(brand=brand, claims_per_day=(5, 3)[place % 2], barred_days=(30, 60)[place % 2])
    for store in Store.objects.order_by("pk")[:STORES]:
        employed = Employment.objects.at(now)
        here = Post.objects.at(now).filter(role=Post.Role.CLERK, store=store, staff__employments__in=employed)
        post = here.select_related("store__brand", "staff__user").latest("pk")
        wanted = Pooled.objects.filter(store=store).exclude(last_staff=post.staff_id).order_by("-paid_fen", "pk")
        for row in list(wanted[:EACH]):
            pool.claim(post=post, member_id=row.member_id, by=post.staff.user, now=now)
