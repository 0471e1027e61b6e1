"""A short way in for callbacks: nobody signs in there, so sessions, languages and pages need not be prepared."""

from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler


class _Bare(WSGIHandler):
    """Django's handler without any middleware."""

    def load_middleware(self, is_async: bool = False) -> None:
        handler: Any = self  # of what Django's handlers keep the stubs know little
        handler._view_middleware = handler._template_response_middleware = handler._exception_middleware = []
        handler._middleware_chain = convert_exception_to_response(handler._get_response)


def with_lane(pages: WSGIApplication) -> WSGIApplication:
    """The application with the short way for callbacks beside the long one for everything else."""
    bare: Any = _Bare()

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        path = environ.get("PATH_INFO", "")
        is_callback = path.startswith("/wecom/") and path.endswith(("/callback/", "/callback"))
        return (bare if is_callback else pages)(environ, start_response)

    return answer
