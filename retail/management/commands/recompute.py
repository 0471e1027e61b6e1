"""Judge a range again after the plan was corrected, and say what that changed."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Sum
from django.utils import timezone

from commissions.models import Entry
from retail import bulk, scope
from retail.management import ranges
from retail.management.base import TablesCommand
from retail.templatetags.figures import yuan

SHOWN = 10


class Command(TablesCommand):
    help = "Judge settled orders again by the plan that now holds for them, and post the differences."

    def add_arguments(self, parser: ArgumentParser) -> None:
        ranges.add_arguments(parser)

    def handle(self, **options: Any) -> None:
        now = timezone.now()
        with scope.within(scope.EVERYTHING):
            done = bulk.recompute(among=ranges.orders(**options), now=now)
            self.stdout.write(f"Judged again: {done.orders:,} orders, {done.lines:,} lines; {_said(posted_at=now)}")
        if done.failed:
            raise CommandError(f"These orders cannot be judged again: {done.failed[:20]}")


def _said(**run: Any) -> str:
    """Who gets how much more or less, the largest changes first."""
    people = Entry.objects.of_staff().filter(**run).values_list("staff__code", "staff__name")
    changes = sorted(people.annotate(fen=Sum("fen")).order_by(), key=lambda row: (-abs(row[2]), row[0]))
    if not changes:
        return "nothing to change."
    more, less = (sum(row[2] for row in changes if (row[2] > 0) == up) for up in (True, False))
    lines = [f"  {code} {name}: {yuan(fen)}" for code, name, fen in changes[:SHOWN]]
    rest = [f"  and {len(changes) - SHOWN} more people"] if len(changes) > SHOWN else []
    return "\n".join([f"{len(changes):,} people, together {yuan(more)} more and {yuan(-less)} less.", *lines, *rest])
