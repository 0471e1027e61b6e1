"""manage.py wecom_app: the applications of WeCom and their secrets."""

import argparse
import getpass
import sys
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import IntegrityError
from django.utils import timezone

from retail.management.base import TablesCommand
from retail.wecom import health, keys
from retail.wecom.models import App

SECRETS = ("secret", "token", "aes_key")


class Command(TablesCommand):
    help = (
        "Add an application of WeCom, list them, correct one, switch it off or on, or give it new secrets. A secret "
        "that is not given is asked for, so that it stands in no history of commands."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        add = acts.add_parser("add", help="a new application; its callback address is printed")
        add.add_argument("slug", help="short name, part of the callback address")
        add.add_argument("--corp-id", required=True)
        add.add_argument("--agent-id", required=True, type=int)
        add.add_argument("--name", default="")
        add.add_argument("--base-url", default="", help="where its WeCom answers; default: the vendor's address")
        _take_secrets(add)
        acts.add_parser("list", help="all applications and whether WeCom is well")
        change = acts.add_parser("set", help="correct name, corp, agent or address")
        change.add_argument("slug")
        change.add_argument("--name")
        change.add_argument("--corp-id")
        change.add_argument("--agent-id", type=int)
        change.add_argument("--base-url", help="where its WeCom answers; '' for the vendor's address")
        for act, says in (("off", "no callbacks, nothing is sent"), ("on", "again; what still matters is sent")):
            acts.add_parser(act, help=says).add_argument("slug")
        rotate = acts.add_parser("rotate", help="new secrets; callbacks with the old ones are taken for a while")
        rotate.add_argument("slug")
        rotate.add_argument("--hours", type=float, default=keys.OVERLAP / timedelta(hours=1), help="for how long")
        rotate.add_argument("--generate", action="store_true", help="make token and key here, and print them once")
        _take_secrets(rotate)

    def handle(self, *, act: str, **options: Any) -> None:
        try:
            getattr(self, f"_{act}")(**options)
        except (keys.BadKey, keys.BadAddress) as error:
            raise CommandError(str(error))

    def _add(self, *, slug: str, **options: Any) -> None:
        given = {one: options[one] or _asked(one) for one in SECRETS}
        given |= {one: options[one] for one in keys.CORRECTED}
        try:
            app = keys.add(slug=slug, by=None, now=timezone.now(), **given)
        except IntegrityError:
            raise CommandError(f"There is an application {slug}, or one of this corp and agent, already.")
        self.stdout.write(f"Added. Callback address: https://YOUR-HOST/wecom/{app.slug}/callback/")

    def _list(self, **options: Any) -> None:
        for app in App.objects.order_by("slug"):
            found = health.look(app=app, now=timezone.now())
            last = f"{found.last_callback:%Y-%m-%d %H:%M} UTC" if found.last_callback else "never"
            state = found.verdict if app.is_active else "off"
            self.stdout.write(f"{app.slug}  corp {app.corp_id}  agent {app.agent_id}  {state}  last callback {last}")

    def _set(self, *, slug: str, **options: Any) -> None:
        given = {one: options[one] for one in keys.CORRECTED if options[one] is not None}
        if not given:
            raise CommandError("Nothing to change: give --name, --corp-id, --agent-id or --base-url.")
        try:
            app = keys.correct(app=_app(slug), by=None, now=timezone.now(), **given)
        except IntegrityError:
            raise CommandError("There is another application of this corp and agent.")
        self.stdout.write(f"{app.slug}  corp {app.corp_id}  agent {app.agent_id}  {app.name}  {app.api_url}")

    def _off(self, *, slug: str, **options: Any) -> None:
        keys.switch(app=_app(slug), is_active=False, by=None, now=timezone.now())
        self.stdout.write(f"{slug} is off.")

    def _on(self, *, slug: str, **options: Any) -> None:
        keys.switch(app=_app(slug), is_active=True, by=None, now=timezone.now())
        self.stdout.write(f"{slug} is on.")

    def _rotate(self, *, slug: str, hours: float, generate: bool, **options: Any) -> None:
        app = _app(slug)
        given = {one: options[one] or "" for one in SECRETS}
        if generate:
            given |= {"token": keys.new_token(), "aes_key": keys.new_aes_key()}
        if not any(given.values()):
            raise CommandError("Nothing to change: give --secret, --token and --aes-key, or --generate.")
        keys.rotate(app=app, by=None, now=timezone.now(), overlap=timedelta(hours=hours), **given)
        if generate:
            self.stderr.write("Type these into WeCom's page now; they are not shown again:")
            self.stdout.write(f"Token {given['token']}\nEncodingAESKey {given['aes_key']}")
        self.stdout.write(f"Done. The ones before are taken for {hours:g} hours more.")


def _app(slug: str) -> App:
    app = App.objects.filter(slug=slug).first()
    if app is None:
        raise CommandError(f"There is no application {slug}.")
    return app


def _take_secrets(parser: argparse.ArgumentParser) -> None:
    for one in SECRETS:
        parser.add_argument(f"--{one.replace('_', '-')}", metavar="TEXT")


def _asked(one: str) -> str:
    if not sys.stdin.isatty():
        raise CommandError(f"Give --{one.replace('_', '-')}.")
    return getpass.getpass(f"{one}: ")
