#!/usr/bin/env python
"""Django's command line; commands that need the database find the demo's PostgreSQL or start it meanwhile."""

import os
import sys

from django.core.management import execute_from_command_line

from retail import embedded


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "retail.settings")
    try:
        embedded.ensure_for(sys.argv)
    except embedded.EmbeddedError as error:
        sys.exit(f"PostgreSQL: {error}")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
