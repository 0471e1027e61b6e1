"""manage.py bind_from_history --brand B [--months 12]: first load of the relations between members and clerks."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from clerks import binding, book
from retail import scope
from retail.models import Brand

_SHOWN = 50


class Command(BaseCommand):
    help = "Bind members without a clerk to the one they spent most with at the till; ties are listed, not decided."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--brand", required=True, help="code of the brand")
        parser.add_argument("--months", type=int, default=12, help="how far back purchases count (default 12)")

    def handle(self, *, brand: str, months: int, **options: Any) -> None:
        with scope.within(scope.EVERYTHING):
            found = Brand.objects.filter(code=brand).first()
            if found is None:
                known = ", ".join(Brand.objects.values_list("code", flat=True))
                raise CommandError(f"There is no brand {brand!r}. There are: {known or 'none yet'}.")
            if months < 1:
                raise CommandError("--months: give at least 1.")
            now = timezone.now()
            bound, ties = binding.bind_from_history(brand=found, since=now - timedelta(days=30 * months), now=now)
            book.refresh_all(now=now)
        self.stdout.write(f"{bound:,} members bound; {len(ties):,} tie between clerks and wait on the page of ties.")
        if ties:
            more = f" and {len(ties) - _SHOWN:,} more" if len(ties) > _SHOWN else ""
            self.stdout.write(f"Ties, by member id: {', '.join(map(str, ties[:_SHOWN]))}{more}")
