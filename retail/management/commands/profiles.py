"""manage.py profiles [--check]: what is rolled up of every member, made again from the facts."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from members import profiles
from members.models import Membership
from retail import scope
from retail.management.base import TablesCommand

SHOWN = 20


class Command(TablesCommand):
    help = "Make all profiles of members again from the facts, as the night does; with --check only compare."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="change nothing; exits with 1 if any is otherwise")

    def handle(self, *, check: bool, **options: Any) -> None:
        now = timezone.now()
        with scope.within(scope.EVERYTHING):
            if not check:
                self.stdout.write(f"{profiles.refresh_all(now=now):,} profiles were otherwise.")
                return
            ids = Membership.objects.order_by("pk").values_list("pk", flat=True)
            wrong = list(profiles.otherwise(membership_ids=ids.iterator(), now=now))
        if wrong:
            raise CommandError(f"{len(wrong):,} profiles are not what the facts say: memberships {wrong[:SHOWN]}")
        self.stdout.write("All profiles are what the facts say.")
