"""The product's web server, with trip points: `gunicorn tests.kill.web:application`."""

from collections.abc import Callable
from typing import Any

from retail.wsgi import application as product

from retail.api import feed  # isort: skip  the application sets Django up
from tests.kill import trips


def _watched(take: Callable[..., Any]) -> Callable[..., Any]:
    def run(**said: Any) -> Any:
        with trips.attempt("take"):
            taken = take(**said)
            trips.trip("taken")
        return taken

    return run


def application(environ: dict[str, Any], start_response: Any) -> Any:
    answer = product(environ, start_response)
    trips.trip("answered")
    return answer


feed.Orders.take = _watched(feed.Orders.take)
feed.Refunds.take = _watched(feed.Refunds.take)
