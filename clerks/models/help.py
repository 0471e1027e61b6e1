"""求助: what a clerk cannot settle alone about a customer goes upwards, and a clock runs until somebody answers."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from members.models import Member
from retail.models import Brand, Staff, Store
from retail.scope import Paths, Scoped, ScopedManager


class HelpQuerySet(models.QuerySet["HelpRequest"]):
    def open(self) -> "HelpQuerySet":
        return self.filter(closed_at=None)


class HelpRequest(Scoped):
    """One request for help. `level`: who has to answer it now, since `raised_at`; a clock or a person raises it.

    `staff` is who asked, and hears the answer; with the customer it goes to whoever looks after them next.
    """

    class Kind(models.TextChoices):
        PRICE = "price", _("价格和优惠")
        STOCK = "stock", _("缺货调货")
        COMPLAINT = "complaint", _("顾客不满意")
        RETURN = "return", _("退换货")
        OTHER = "other", _("别的")

    class Level(models.TextChoices):
        STORE = "store", _("店长")
        REGION = "region", _("区域")
        HQ = "hq", _("总部")

    class Outcome(models.TextChoices):
        ANSWERED = "answered", _("已答复")
        WITHDRAWN = "withdrawn", _("不用了")

    brand = models.ForeignKey(Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="+")
    member = models.ForeignKey(
        Member, verbose_name=_("顾客"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    staff = models.ForeignKey(
        Staff, verbose_name=_("谁求助"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    store = models.ForeignKey(Store, verbose_name=_("门店"), on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(_("什么事"), max_length=12, choices=Kind.choices)
    text = models.CharField(_("说了什么"), max_length=200)
    asked_at = models.DateTimeField(_("提出"))

    level = models.CharField(_("现在归谁"), max_length=8, choices=Level.choices)
    raised_at = models.DateTimeField(_("到这一级"))
    word = models.CharField(_("上交时说的"), max_length=200, blank=True, default="")
    reminders = models.PositiveSmallIntegerField(_("在这一级催过几次"), default=0)
    taken_by = models.ForeignKey(
        Staff, verbose_name=_("谁在处理"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    taken_at = models.DateTimeField(_("接手"), null=True, blank=True)

    answer = models.CharField(_("答复"), max_length=500, blank=True, default="")
    answered_by = models.ForeignKey(
        Staff, verbose_name=_("谁答复"), null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    outcome = models.CharField(_("结果"), max_length=12, choices=Outcome.choices, blank=True, default="")
    closed_at = models.DateTimeField(_("了结"), null=True, blank=True)

    scope_paths = Paths(brand="brand", store="store", staff="staff")
    objects = ScopedManager.from_queryset(HelpQuerySet)()  # type: ignore[misc]  # replaces the base's manager

    class Meta:
        verbose_name = _("求助")
        verbose_name_plural = _("求助")
        indexes = [
            models.Index(fields=["store", "asked_at"], name="help_open", condition=Q(closed_at=None)),
            models.Index(fields=["staff", "-id"], name="help_of_staff"),
            models.Index(fields=["member"], name="help_of_member"),
        ]
        constraints = [
            models.CheckConstraint(
                name="help_closed_with_outcome",
                condition=Q(closed_at=None, outcome="") | (Q(closed_at__isnull=False) & ~Q(outcome="")),
            ),
            models.CheckConstraint(
                name="help_taken_by_and_when",
                condition=Q(taken_by=None, taken_at=None) | Q(taken_by__isnull=False, taken_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {self.staff.name}"

    @property
    def is_open(self) -> bool:
        return self.closed_at is None
