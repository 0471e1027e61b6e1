from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ClerksConfig(AppConfig):
    name = "clerks"
    verbose_name = _("导购")

    def ready(self) -> None:
        from clerks import book, conditions
        from commissions import values
        from members import profiles
        from members.models import CouponType, Tier
        from members.segments import kinds

        values.offer("tier", Tier)
        values.offer("coupon_type", CouponType)
        kinds.register(*conditions.KINDS)
        profiles.FOLLOWERS.append(book.refresh)
