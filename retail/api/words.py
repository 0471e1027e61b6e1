"""What the API says when it refuses something: a code for machines, words in the one language that was asked for."""

from typing import Any

from rest_framework.response import Response
from rest_framework.views import exception_handler

from retail.api.schema import Problem
from retail.faults import told
from retail.orders import Fault


def problem(fault: Fault) -> Problem:
    code, message = told(fault.message)
    return Problem(fault.field, message, code)


def refusal(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF asks this for the answer to what a view raised: `code`, `detail`, and `errors` where fields are named."""
    answer = exception_handler(error, context)
    if answer is None or not isinstance(answer.data, dict):
        return answer
    detail: Any = answer.data.get("detail", "")
    code, words = told(str(detail))
    # What the table does not know DRF has said, in the language of the request, with a code of its own.
    said = code if words != str(detail) or code != "invalid" else getattr(detail, "code", "invalid")
    errors = [problem(Fault(str(one["field"]), str(one["message"]))) for one in answer.data.get("errors", [])]
    answer.data = {"code": str(said), "detail": words}
    if errors:
        answer.data["errors"] = [{"field": one.field, "message": one.message, "code": one.code} for one in errors]
    return answer
