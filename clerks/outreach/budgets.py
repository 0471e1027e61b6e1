"""The budget of a reward is spent: headquarters hear of it once."""

from datetime import datetime

from django.utils.translation import gettext as _

from clerks.models import Notice
from clerks.outreach import notices
from commissions import actions
from commissions.models import ActionRate
from retail.templatetags.figures import yuan


def tell_of_end(*, rate_id: int, now: datetime) -> None:
    rate = ActionRate._base_manager.select_related("version__plan").get(pk=rate_id)
    stand = actions.budget(rate=rate)
    said = {
        "what": rate.get_type_display(),
        "plan": rate.version,
        "spent": yuan(stand.spent_fen),
        "budget": yuan(stand.budget_fen),
    }
    notices.tell_all(
        staff=notices.operators(now=now),
        kind=Notice.Kind.TOLD,
        title=_("“%(what)s”的奖励预算用完了") % said,
        text=_("%(plan)s：已给 ¥%(spent)s，预算 ¥%(budget)s。之后的都没有奖励；要继续，请做一个新版本提高预算。")
        % said,
        effect=f"budget:{rate_id}",
        now=now,
    )
