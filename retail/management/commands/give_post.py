"""A post of headquarters from the server: in a new installation there is no second person yet who could agree."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from retail import org
from retail.desk import roles
from retail.management.base import TablesCommand
from retail.models import Staff


class Command(TablesCommand):
    help = "Give a person a post of headquarters from now on. In the admin this takes two persons."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("staff", metavar="CODE", help="the person's number, as in the admin")
        parser.add_argument("role", choices=sorted(org.HEADQUARTERS))

    def handle(self, *, staff: str, role: str, **options: Any) -> None:
        person = Staff._base_manager.filter(code=staff).first()
        if person is None:
            raise CommandError(f"There is nobody with the number {staff!r}.")
        now = timezone.now()
        if role in {post.role for post in org.posts_of(staff=person, now=now)}:
            raise CommandError(f"{person.code} holds that post already.")
        post = roles.give_post(staff=person, role=role, by=None, now=now)
        self.stdout.write(f"{person.code}: {post.role}")
