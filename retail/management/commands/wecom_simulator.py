"""A WeCom of one's own on this machine, with two phones to play customer and clerk on."""

import signal
import threading
import time
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from retail.models import Employment, Staff, Store
from retail.scope import EVERYTHING, within
from retail.wecom.simulator import PORT, Simulator, sample

OFFICE = 1  # the department of everybody who sells nowhere


class Command(BaseCommand):
    help = "Simulate WeCom on this machine: its interface, its callbacks, and phones to play with. Ctrl-C stops it."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=PORT, help=f"default: {PORT}; the next one is used, too")
        parser.add_argument(
            "--seed-from-db", action="store_true", help="with the stores and staff of the database, not a sample"
        )

    def handle(self, *, port: int, seed_from_db: bool, **options: Any) -> None:
        world = of_database() if seed_from_db else sample()
        try:
            simulator = Simulator(now=time.time(), world=world, port=port)
        except OSError as error:
            raise CommandError(
                f"Port {port} or {port + 1} cannot be had ({error.strerror}): end what listens there, or give --port."
            ) from None
        ended = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: ended.set())
        with simulator:
            self.announce(simulator)
            with suppress(KeyboardInterrupt):
                ended.wait()
        self.stdout.write("Stopped.")

    def announce(self, simulator: Simulator) -> None:
        self.stdout.write(f"Phones:    {simulator.url}/phone/")
        self.stdout.write(f"Interface: {simulator.url}/cgi-bin/  (DAOGOU_WECOM_URL={simulator.url})")
        for corp in simulator.world.corps.values():
            for app in corp.apps.values():
                self.stdout.write(f"  corp {corp.corp_id}  app {app.agent_id} {app.name}  secret {app.secret}")
        self.stdout.write("Ctrl-C stops it; nothing is kept.")
        self.stdout.flush()


def of_database() -> dict[str, Any]:
    """The sample's corporation and apps, with our stores as departments and our staff, by their codes, as members."""
    world = sample()
    corp = world["corps"][0]
    with within(EVERYTHING):
        stores = list(Store.objects.order_by("pk").values_list("pk", "name"))
        working = Employment.objects.filter(ends_at__isnull=True).values("staff")
        staff = Staff.objects.filter(pk__in=working).order_by("code")
        posts = dict(
            staff.filter(posts__ends_at__isnull=True, posts__store__isnull=False).values_list("pk", "posts__store")
        )
        members = [
            {
                "userid": one.code,
                "name": one.name,
                "department": [posts[one.pk] + OFFICE if one.pk in posts else OFFICE],
            }
            for one in staff
        ]
    departments = [{"id": pk + OFFICE, "name": name, "parentid": OFFICE} for pk, name in stores]
    corp |= {"departments": departments, "members": members}
    return world
