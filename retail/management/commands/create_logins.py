"""manage.py create_logins: the three logins of PostgreSQL, and the database they share; once, as its administrator."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from retail import logins

WHO = {
    logins.WEB: "the web server",
    logins.JOB: "workers, the clock and commands",
    logins.OWNER: "manage.py migrate, nothing else",
}


class Command(BaseCommand):
    help = (
        "Make the logins daogou_owner, daogou_web and daogou_job where they are missing, each with a new password, and"
        " the database that DATABASE_URL names; print what DATABASE_URL is to be for whom. DATABASE_URL is to name the"
        " administrator of the server meanwhile. Run again it changes no password and mends what is amiss."
    )
    requires_system_checks = ()

    def handle(self, **options: Any) -> None:
        where = connection.settings_dict
        with connection._nodb_cursor() as cursor:
            cursor.execute("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
            if not cursor.fetchone()[0]:
                raise CommandError("DATABASE_URL is to name the administrator of the server for this command.")
            new = logins.make(cursor)
            passwords = {login: logins.give_password(cursor, login) for login in new}
            logins.make_database(cursor, where["NAME"])
        with connection.cursor() as cursor:
            logins.hand_over(cursor)
        address = f"{where['HOST']}{':' if where['PORT'] else ''}{where['PORT']}/{where['NAME']}"
        for login, who in WHO.items():
            password = passwords.get(login, "(the password it has)")
            self.stdout.write(f"# {who}\nDATABASE_URL=postgresql://{login}:{password}@{address}")
