"""The OpenAPI description: the msgspec shapes of the feed beside DRF's own serializers, in one document."""

from typing import Any

import msgspec
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from msgspec import Struct

from retail import scope


class Problem(Struct):
    """What is wrong, and in which field ("lines[2].sku"; empty: the whole); `code` says it to machines."""

    field: str
    message: str
    code: str


class Failure(Struct, omit_defaults=True):
    """Why a call had no effect: for machines, and in the language of `Accept-Language` (Chinese without it)."""

    code: str
    detail: str
    errors: tuple[Problem, ...] = ()


_FAILURES = {
    400: "The request itself is wrong; nothing was kept.",
    401: "No token, or an unknown or revoked one.",
    403: "The token may not do this.",
    429: "Too many calls; `Retry-After` says in how many seconds to come back.",
}
_RETRY = OpenApiParameter(
    "Retry-After", int, OpenApiParameter.HEADER, response=[429], description="Seconds until the next call."
)


class Schema(AutoSchema):
    """Looks at the views of scoped models from inside a scope, and adds the failures that all calls share."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        with scope.within(scope.NOTHING):
            return super().get_operation(*args, **kwargs)

    def get_override_parameters(self) -> list[OpenApiParameter]:
        return [*super().get_override_parameters(), _RETRY]

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        bodies = super()._get_response_bodies(direction)
        missing = {404: "No such object in the scope of this token."} if "{" in self.path else {}
        for status, text in {**_FAILURES, **missing}.items():
            response = OpenApiResponse(Failure, text)
            bodies.setdefault(str(status), self._get_response_for_code(response, str(status), None, direction))
        return dict(sorted(bodies.items()))


def feed(*, request: type[Struct], answer: type[Struct], summary: str, text: str) -> Any:
    """Describes the `create` of a feed view."""
    return extend_schema_view(
        create=extend_schema(
            summary=summary,
            description=f"{text}\n\nGood rows are kept even when others are rejected (422). A batch of more than "
            "500 rows is refused whole (413).",
            request=request,
            responses={
                200: OpenApiResponse(answer, "Every row was accepted."),
                422: OpenApiResponse(answer, "At least one row was rejected; the others are kept."),
                409: OpenApiResponse(Failure, "This Idempotency-Key was used for another request."),
                413: OpenApiResponse(Failure, "Too many rows or bytes; nothing was kept."),
                415: OpenApiResponse(Failure, "The Content-Type is not application/json; nothing was kept."),
            },
            parameters=[
                OpenApiParameter(
                    "Idempotency-Key",
                    {"type": "string", "minLength": 1, "maxLength": 128},
                    OpenApiParameter.HEADER,
                    description="A call repeated with its key and body within 7 days gets the stored answer and has "
                    "no second effect.",
                ),
                OpenApiParameter(
                    "Idempotency-Hit",
                    {"type": "string", "enum": ["true"]},
                    OpenApiParameter.HEADER,
                    response=[200, 422],
                    description="Present when the answer is a stored one.",
                ),
            ],
        )
    )


class StructExtension(OpenApiSerializerExtension):
    """Lets a msgspec Struct stand where drf-spectacular expects a serializer."""

    target_class = "msgspec.Struct"
    match_subclasses = True

    def get_name(self, auto_schema: AutoSchema, direction: Any) -> str:
        return self.target.__name__

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        _, components = msgspec.json.schema_components([self.target], ref_template="#/components/schemas/{name}")
        own = components.pop(self.target.__name__)
        for name, inner in components.items():
            auto_schema.registry.register_on_missing(
                ResolvedComponent(name, ResolvedComponent.SCHEMA, schema=inner, object=name)
            )
        return own


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "retail.api.tokens.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "Made by `manage.py api_token`."}
