"""购买意向: what was learned from a brand's purchases, and what it says of each member."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from members.models import Member
from retail.models import Brand
from retail.scope import Paths, Scoped


class IntentModel(Scoped):
    """意向模型: one version of a brand's coefficients, learned from what was known before `as_of`, and how good it is.

    A member's score is 1 ÷ (1 + e^−z), z = intercept + Σ weight × feature. `means`: of the features, over the members
    it was learned from; what a member has above them is why they stand out. Of those who bought twice or more, about
    one in ten score `high_from` or more, the next two in ten `middle_from`. It never changes, but for being in force:
    at most one of a brand is, and one made for a past date (`is_trial`) never.
    """

    class Kind(models.TextChoices):
        LOGISTIC = "logistic", _("逻辑回归")
        RFM = "rfm", _("RFM 排位")

    class Gate(models.TextChoices):
        AUC = "auc", _("排序不如在用的")
        ECE = "ece", _("概率不准")
        AP = "ap", _("不如 RFM 排位")

    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="intent_models", db_index=False
    )
    kind = models.CharField(_("方法"), max_length=8, choices=Kind.choices)
    as_of = models.DateField(_("数据截至"))  # nothing on or after this day was looked at
    horizon_days = models.PositiveSmallIntegerField(_("预测天数"))
    is_trial = models.BooleanField(_("只为验证"), default=False)
    features = ArrayField(models.CharField(max_length=24), verbose_name=_("特征"))
    weights = ArrayField(models.FloatField(), verbose_name=_("系数"))
    means = ArrayField(models.FloatField(), verbose_name=_("平均值"))
    intercept = models.FloatField(_("截距"))
    middle_from = models.FloatField(_("中：从"))
    high_from = models.FloatField(_("高：从"))
    metrics = models.JSONField(_("指标"), default=dict)
    refusal = models.CharField(_("没有通过"), max_length=3, choices=Gate.choices, blank=True, default="")
    trained_at = models.DateTimeField(_("训练时间"))
    active_from = models.DateTimeField(_("启用"), null=True, blank=True)
    active_until = models.DateTimeField(_("停用"), null=True, blank=True)

    scope_paths = Paths(brand="brand", store=None, staff=None)

    class Meta:
        verbose_name = _("意向模型")
        verbose_name_plural = _("意向模型")
        constraints = [
            models.UniqueConstraint(
                fields=["brand"],
                condition=Q(active_from__isnull=False, active_until=None),
                name="intent_model_in_force_once",
            ),
            models.CheckConstraint(
                name="intent_model_trial_never_in_force", condition=Q(is_trial=False) | Q(active_from=None)
            ),
            models.CheckConstraint(
                name="intent_model_ends_after_it_began",
                condition=Q(active_until=None) | Q(active_from__lte=models.F("active_until")),
            ),
        ]
        indexes = [models.Index(fields=["brand", "-as_of", "-id"], name="intent_model_newest")]

    def __str__(self) -> str:
        return f"{self.brand} {self.as_of:%Y-%m-%d} #{self.pk}"


class Score(Scoped):
    """意向分: how likely a member is to buy within the horizon, as last computed by `clerks.leads.scoring` alone.

    `score` is a probability where a model could be learned, else a place between 0 and 1 (`rank_basis`). Clerks see
    `band`, never the number. `reasons`: up to three of {"code": …, "number": …}, the strongest first.
    """

    class Basis(models.TextChoices):
        LOGISTIC = "logistic", _("逻辑回归")
        RFM = "rfm", _("RFM 排位")

    class Band(models.TextChoices):
        HIGH = "high", pgettext_lazy("likely to buy", "高")
        MIDDLE = "middle", pgettext_lazy("likely to buy", "中")
        LOW = "low", pgettext_lazy("likely to buy", "低")
        NONE = "none", _("看不出")  # fewer than two purchases: purchases tell nothing of them yet

    brand = models.ForeignKey(
        Brand, verbose_name=_("品牌"), on_delete=models.PROTECT, related_name="+", db_index=False
    )
    member = models.ForeignKey(Member, verbose_name=_("会员"), on_delete=models.PROTECT, related_name="intents")
    score = models.FloatField(_("意向"))
    rank_basis = models.CharField(_("依据"), max_length=8, choices=Basis.choices)
    band = models.CharField(_("高低"), max_length=6, choices=Band.choices)
    expected_fen = models.BigIntegerField(_("每次通常消费"))
    reasons = models.JSONField(_("理由"), default=list)
    version = models.ForeignKey(
        IntentModel, verbose_name=_("意向模型"), null=True, blank=True, on_delete=models.PROTECT, related_name="+",
        db_index=False,
    )  # fmt: skip
    scored_on = models.DateField(_("哪天"))

    scope_paths = Paths(brand="brand", store=None, staff=None)

    class Meta:
        verbose_name = _("意向分")
        verbose_name_plural = _("意向分")
        constraints = [
            models.UniqueConstraint(fields=["brand", "member"], name="score_once"),
            models.CheckConstraint(name="score_between_0_and_1", condition=Q(score__gte=0, score__lte=1)),
        ]
