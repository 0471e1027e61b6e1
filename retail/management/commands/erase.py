"""Forget a member, from the server: for the operator, who has nobody to ask. In the admin it takes two persons."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from members import identity
from members.models import Member
from retail import approvals, erasure, privacy, scope
from retail.management.base import TablesCommand


class Command(TablesCommand):
    help = "Erase everything about one member for good; orders and commissions stay and name nobody."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("member", nargs="?", type=int, help="the member's number; left out: a phone is asked for")
        parser.add_argument("--reason", required=True, help="for the journal, without the person's name")
        parser.add_argument("--yes", action="store_true", help="do not ask again")

    def handle(self, *, member: int | None, reason: str, yes: bool, **options: Any) -> None:
        with scope.within(scope.EVERYTHING):
            found = _by_number(member) if member is not None else _by_phone(input("Phone: "))
            if not yes and input(f"Erase member {found.pk} for good? Type the number again: ") != str(found.pk):
                raise CommandError("Nothing was erased.")
            try:
                gone = erasure.erase(member=found, by=None, reason=reason, now=timezone.now())
            except approvals.Refused as refused:
                raise CommandError(str(refused)) from None
        if not gone.identities:
            self.stdout.write(f"Member {found.pk} was erased before.")
            return
        counts = ", ".join(f"{count} {name}" for name, count in gone._asdict().items())
        self.stdout.write(f"Member {found.pk} is erased: {counts}.")


def _by_number(number: int) -> Member:
    found = Member.objects.filter(pk=number).first()
    if found is None:
        raise CommandError(f"There is no member {number}.")
    return found


def _by_phone(typed: str) -> Member:
    """Asked for and not given as an argument: those stay in the history of the shell."""
    try:
        known = privacy.normalised(privacy.Known("phone", "", typed))
    except privacy.BadValue as error:
        raise CommandError(str(error)) from None
    pk = identity.member_of(known)
    if pk is None:
        raise CommandError("Nobody is known by that number.")
    return Member.objects.get(pk=pk)
