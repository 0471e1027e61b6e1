"""The Celery application. Tasks live in `retail.tasks`; what they carry is ids of job rows, nothing else."""

import os
import sys

from celery import Celery
from celery.signals import beat_init, task_postrun, task_prerun, worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "retail.settings")

app = Celery("retail")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["retail"])


def _require_login(**_: object) -> None:
    """Under the login of requests a worker would find no buyer keys; under the owner's it could do anything."""
    from django.core.exceptions import ImproperlyConfigured

    from retail import database, logins

    try:
        database.require(logins.JOB)
    except ImproperlyConfigured as error:
        sys.exit(str(error))  # an error here is logged by Celery, and the worker runs all the same


def _close_old_connections(**_: object) -> None:
    """Those too old, or broken since PostgreSQL went away; the others serve the next task too."""
    from django.db import close_old_connections

    close_old_connections()


task_prerun.connect(_close_old_connections)
task_postrun.connect(_close_old_connections)
worker_init.connect(_require_login)
beat_init.connect(_require_login)
