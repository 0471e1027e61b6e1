"""The product's worker, with trip points: `celery -A tests.kill.worker worker`."""

from collections.abc import Callable
from functools import wraps

import django

django.setup()

from retail import jobs, tasks  # noqa: E402  models can be imported now
from retail.celery import app  # noqa: E402, F401  found by the command
from tests.kill import trips  # noqa: E402


def _watched(kind: str, function: Callable[..., object]) -> Callable[..., object]:
    @wraps(function)  # with what `jobs.apart` wrote on it
    def run(**payload: object) -> None:
        with trips.attempt(kind):
            trips.trip("begun")
            function(**payload)
            trips.trip("effect")

    return run


def _then(point: str, function: Callable[..., object]) -> Callable[..., object]:
    def run(*args: object) -> object:
        outcome = function(*args)
        if outcome is not None:
            trips.trip(point)
        return outcome

    return run


tasks.REGISTRY = {kind: _watched(kind, function) for kind, function in tasks.REGISTRY.items()}
jobs._claim = _then("claimed", jobs._claim)
jobs._do = _then("committed", jobs._do)
