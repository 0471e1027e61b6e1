"""A token for another system: its secret is printed once and kept nowhere."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import models

from retail.api import tokens
from retail.management.base import TablesCommand
from retail.models import Brand, Channel, Franchisee, Region, Store

LISTED = 40  # codes that an error names

_PLACES: dict[str, type[models.Model]] = {
    "channel": Channel,
    "brand": Brand,
    "region": Region,
    "store": Store,
    "franchisee": Franchisee,
}


class Command(TablesCommand):
    help = "Make an API token and print its secret, once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what it is for, as the admin will list it")
        parser.add_argument("--channel", metavar="CODE", help="may post the facts of this channel")
        parser.add_argument("--read", action="store_true", help="may read, the whole group unless a place is given:")
        for place in list(_PLACES)[1:]:
            parser.add_argument(f"--{place}", metavar="CODE", help=f"reads only what belongs to this {place}")

    def handle(self, *, name: str, read: bool, **options: Any) -> None:
        if not read and options["channel"] is None:
            raise CommandError("A token that may neither post nor read is of no use: give --channel, --read or both.")
        places = {place: _found(place, options[place]) for place in _PLACES if options[place] is not None}
        _, secret = tokens.issue(name=name, can_read=read, **places)
        self.stderr.write("This is the only time the secret is shown:")
        self.stdout.write(secret)


def _found(place: str, code: str) -> Any:
    rows = _PLACES[place]._base_manager.order_by("code")
    row = rows.filter(code=code).first()
    if row is None:
        codes = [*rows.values_list("code", flat=True)[: LISTED + 1]]
        known = ", ".join(codes[:LISTED]) + (", …" if len(codes) > LISTED else "")
        raise CommandError(f"There is no {place} {code!r}. There are: {known or 'none yet'}.")
    return row
