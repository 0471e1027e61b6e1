"""P15: whatever the OpenAPI document allows, and much that it does not, is answered, and never by a fault of ours."""

import json
from collections import Counter
from urllib.parse import urlencode

import pytest
import schemathesis
from django.core.cache import cache
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.figures import figure

pytestmark = pytest.mark.slow


def test_no_call_of_the_document_is_a_fault_of_ours(till, size):
    document = Client().get("/api/schema/", {"format": "json"}).json()
    api = schemathesis.openapi.from_dict(document)
    answers: Counter[int] = Counter()
    calls = st.one_of([found.ok().as_strategy() for found in api.get_all_operations()])

    @settings(
        max_examples=20_000 if size == "full" else 40,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(calls)
    def ask(case):
        cache.clear()  # the throttle counts there
        answer = send(till, case)
        answers[answer.status_code] += 1
        assert answer.status_code < 500, (case.method, case.path, answer.content[:400])

    ask()
    total = answers.total()
    figure("P15", f"{total} calls made up from the OpenAPI document: 0 × 5xx; {dict(sorted(answers.items()))}")
    assert answers[200] and answers[400] + answers[422]


def send(till, case):
    path = case.formatted_path.removeprefix("/api/v1/")
    if case.method == "POST":
        # The schema's values may hold what JSON cannot (NaN): Python writes it, and the API has to refuse it.
        body = json.dumps(case.body, default=str).encode(errors="surrogatepass")
        return till.post(path, body)
    return till.get(f"{path}?{urlencode(case.query or {}, doseq=True, errors='surrogatepass')}")
