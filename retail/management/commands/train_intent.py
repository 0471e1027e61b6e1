"""manage.py train_intent: learn a brand's model of who is likely to buy."""

from datetime import date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from clerks.leads import scoring, training
from clerks.leads.models import IntentModel
from retail import scope
from retail.management.base import TablesCommand
from retail.management.samples import at_least_one
from retail.models import Brand


class Command(TablesCommand):
    help = "Learn who is likely to buy. With --as-of from what was known before that day; such a model is only kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--brand", required=True, help="code of the brand")
        parser.add_argument("--as-of", help="YYYY-MM-DD; without it today")
        parser.add_argument("--horizon", type=at_least_one, default=scoring.HORIZON, help="days looked ahead")

    def handle(self, *, brand: str, as_of: str | None, horizon: int, **options: Any) -> None:
        if not training.is_possible():
            raise CommandError("scikit-learn is not installed: it comes with the extra `train`.")
        now = timezone.now()
        if as_of:
            warn_of_future(self, day_said(as_of), now)
        with scope.within(scope.EVERYTHING):
            model = training.train(
                brand=named(brand),
                as_of=day_said(as_of) if as_of else timezone.localdate(now),
                horizon_days=horizon,
                is_trial=as_of is not None,
                now=now,
            )
        self.stdout.write(said(model) if model else nothing(horizon))


def named(code: str) -> Brand:
    brand = Brand.objects.filter(code=code).first()
    if brand is None:
        raise CommandError(f"There is no brand {code!r}.")
    return brand


def day_said(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text!r} is no day: YYYY-MM-DD.") from None


def warn_of_future(command: BaseCommand, day: date, now: datetime) -> None:
    if day > timezone.localdate(now):
        command.stderr.write(f"{day} lies ahead: who has not bought by now counts as one who did not buy.")


def nothing(horizon: int) -> str:
    least = horizon + training.LEAST_LOOK_BACK
    return f"Nothing to learn from: less than {least} days of orders before that day, or nobody came back. RFM ranks."


def said(model: IntentModel) -> str:
    """One line: what came out, how good it is on the newest cut, whether it is in force."""
    names = ("auc", "ap", "lift", "ece")
    figures = ", ".join(f"{name} {model.metrics[name]:.4f}" for name in names if model.metrics[name] is not None)
    state = (
        "in force" if model.active_from else f"refused ({model.refusal})" if model.refusal else "kept, not in force"
    )
    return f"Model {model.pk} of {model.as_of}, {model.kind}: {figures or 'no measure'}; {state}."
