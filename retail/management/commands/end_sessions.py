"""Sign a person out everywhere, from the server: for a lost phone at night, or when the admin itself is in doubt."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from retail import gate, second_factor
from retail.management.base import TablesCommand
from retail.models import User


class Command(TablesCommand):
    help = "End all sessions of one user at once; with --second-factor they set up another authenticator, too."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", required=True, metavar="NAME", help="the name they sign in with")
        parser.add_argument("--second-factor", action="store_true", help="forget their authenticator, too")
        parser.add_argument("--reason", default="", help="for the journal")

    def handle(self, *, user: str, reason: str, **options: Any) -> None:
        found = User.objects.filter(username=user).first()
        if found is None:
            raise CommandError(f"There is no user {user!r}.")
        now = timezone.now()
        if options["second_factor"]:
            second_factor.reset(user=found, by=None, now=now)
        gate.end_sessions(user=found, by=None, now=now, reason=reason)
        self.stdout.write(f"All sessions of {found.username} have ended.")
