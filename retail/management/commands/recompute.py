"""Judge a range again after the plan was corrected: say what that changes, then post it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from commissions.what_if import Outcome
from retail import bulk, scope
from retail.management import ranges
from retail.management.base import TablesCommand
from retail.models import Staff
from retail.templatetags.figures import yuan

SHOWN = 10


class Command(TablesCommand):
    help = (
        "Judge settled orders again by the plan that now holds for them, show what changes, and post the differences."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        ranges.add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="say what would be posted, and post nothing")

    def handle(self, **options: Any) -> None:
        with scope.within(scope.EVERYTHING):
            orders = ranges.orders(**options)
            found = bulk.judge(among=orders)
            self.stdout.write(f"Judged again: {found.orders:,} orders, {found.lines:,} lines; {_said(found)}")
            if options["dry_run"] or not found.changed:
                return
            done = bulk.recompute(among=orders.filter(pk__among=found.changed), now=timezone.now())
            self.stdout.write(f"Posted: {done.orders:,} orders.")
        if done.failed:
            raise CommandError(f"These orders cannot be judged again: {done.failed[:20]}")


def _said(found: Outcome) -> str:
    """Who gets how much more or less, the largest changes first."""
    moves = {pk: change.new_fen - change.old_fen for pk, change in found.by("staff_id").items()}
    people = {staff.pk: staff for staff in Staff.objects.filter(pk__in=[pk for pk, fen in moves.items() if fen])}
    changes = sorted(((people[pk], moves[pk]) for pk in people), key=lambda row: (-abs(row[1]), row[0].code))
    if not found.changed:
        return "nothing to change."
    more, less = (sum(fen for _, fen in changes if (fen > 0) == up) for up in (True, False))
    lines = [f"  {staff.code} {staff.name}: {yuan(fen)}" for staff, fen in changes[:SHOWN]]
    rest = [f"  and {len(changes) - SHOWN} more people"] if len(changes) > SHOWN else []
    of = f"{len(found.changed):,} orders change, {len(changes):,} people"
    return "\n".join([f"{of}, together {yuan(more)} more and {yuan(-less)} less.", *lines, *rest])
