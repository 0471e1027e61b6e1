"""疑似同一人: what points to two members is put down, for a rule to merge or a person to look at.

Which rule makes two members one: `members.matching`. Who merges them: `clerks.oneid`, by the job named here.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from members.matching import Pair
from members.models import Doubt
from retail import audit, jobs

JOIN = "join_members"  # job: two members a rule calls one person; {"doubt_id"}
_State = Doubt.State

# A question becomes certain where a rule says so later; what a person has decided stays.
_PROPOSE = """
INSERT INTO members_doubt AS d (one_id, other_id, evidence, state, found_at)
SELECT w.one, w.other, w.evidence::jsonb, w.state, %s
FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[]) AS w(one, other, evidence, state)
ON CONFLICT (one_id, other_id) DO UPDATE SET state = excluded.state, evidence = excluded.evidence
WHERE d.state = 'open' AND excluded.state = 'sure' RETURNING id, state
"""


def propose(*, pairs: Sequence[Pair], source: str, order_id: int | None, now: datetime) -> None:
    """Put pairs down, each once whichever way round and however often; those a rule makes one are merged soon."""
    if not pairs:
        return
    rows: dict[tuple[int, int], tuple[str, str]] = {}
    for pair in sorted(pairs, key=lambda pair: not pair.rule):
        evidence: dict[str, Any] = {"keys": list(dict.fromkeys(pair.keys)), "source": source, "rule": pair.rule}
        evidence |= {"order": order_id} if order_id else {}
        place = min(pair.one, pair.other), max(pair.one, pair.other)
        rows.setdefault(place, (json.dumps(evidence), _State.SURE if pair.rule else _State.OPEN))
    ones, others = zip(*rows, strict=True)
    evidences, states = zip(*rows.values(), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(_PROPOSE, [now, list(ones), list(others), list(evidences), list(states)])
        sure = [doubt_id for doubt_id, state in cursor.fetchall() if state == _State.SURE]
    jobs.enqueue(work=[jobs.Work(JOIN, {"doubt_id": doubt_id}) for doubt_id in sure], now=now)


def between(ones: Sequence[int], others: Sequence[int]) -> QuerySet[Doubt]:
    """Everything ever found between two persons, by all their numbers."""
    return Doubt._base_manager.filter(Q(one__in=ones, other__in=others) | Q(one__in=others, other__in=ones))


@transaction.atomic
def keep_apart(*, doubt: Doubt, by: Any, reason: str, now: datetime) -> None:
    """Somebody has looked: two persons. No rule merges them any more."""
    waiting = Doubt._base_manager.filter(pk=doubt.pk, state__in=[_State.OPEN, _State.SURE])
    if waiting.update(state=_State.APART, decided_by=by, decided_at=now):
        after = {"one": doubt.one_id, "other": doubt.other_id}
        audit.record(by=by, action="doubt.apart", target=doubt, now=now, after=after, reason=reason)
