"""A month of history looked at again: a version tried on it, a correction posted, against inserting its entries."""

import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db.models import Count, Sum

from commissions import plans
from commissions.models import Entry, PlanVersion
from retail import bulk as verbs
from tests.bench.bulk import Load, _digest, _forget_entries, _run, _stage, _way
from tests.bench.copies import Copy
from tests.bench.measure import Verdict, Way
from tests.bench.worlds import Shop
from tests.factories import LONG_AGO, NOW

ORDERS, TIMES = 4_000, 10
MOST_MB = 600
CORRECTED = 3  # of the 300 rules


def what_if(shop: Shop, *, full: bool) -> Iterator[Verdict]:
    """Orders are settled and posted; then a draft with other rates is tried on them, put in force, and posted."""
    _forget_entries()  # those of other benchmarks
    load = Load(shop, count=5 * ORDERS if full else ORDERS, prefix="tried")
    assert verbs.settle(among=load.orders(), now=NOW).failed == []
    if full:
        load.grow(times=TIMES)
        verbs.recompute(among=load.orders(), now=NOW)
    _run("VACUUM ANALYZE commissions_entry")
    _stage()
    limit = _limit(load)
    yield from _tried(shop, load, limit, rounds=1 if full else 3)


def _limit(load: Load) -> Way:
    twin, way = Copy("commissions_entry"), _way("INSERT … SELECT of the same entries", load.ids)
    for _ in range(2):
        twin.clear()
        _run("CHECKPOINT")
        with way.turn():
            _run("INSERT INTO bench_commissions_entry SELECT * FROM bench_stage")
    assert _digest("bench_commissions_entry") == _digest("bench_stage")
    twin.clear()
    return way


def _tried(shop: Shop, load: Load, limit: Way, *, rounds: int) -> Iterator[Verdict]:
    tried = _way("bulk.judge: a draft tried, two processes", load.ids)
    alone = _way("bulk.judge: the same in one process, as a worker does", load.ids)
    seen = _way("bulk.judge: a correction previewed", load.ids)
    posted = _way("bulk.recompute: its differences posted", load.ids)
    draft = _corrected(shop.version)
    with _peak() as peak:
        for _ in range(rounds):
            with tried.turn():
                outcome = verbs.judge(among=load.orders(), version=plans.as_it_stands(draft))
            with alone.turn():
                one = verbs.judge(among=load.orders(), version=plans.as_it_stands(draft), how=verbs.How(processes=1))
            assert outcome.by("staff_id") == one.by("staff_id") and outcome.rules == one.rules
        plans.approve(version=draft, by=None, now=NOW)
        plans.activate(version=draft, starts_at=LONG_AGO, by=None, now=NOW, reason="填错")
        last = Entry.objects.order_by("-pk").values_list("pk", flat=True)[0]
        with seen.turn():
            found = verbs.judge(among=load.orders())
        with posted.turn():
            verbs.recompute(among=load.orders().filter(pk__among=found.changed), now=NOW)
    _assert_posted(outcome.by("staff_id"), last)
    changed = f"{len(found.changed):,} of {found.orders:,} orders changed: {CORRECTED} of 300 rules had other rates"
    lines = f"{limit.units:,} lines, wall against inserting the entries"
    ways = [limit, tried, alone]
    yield Verdict(f"trying a version on {lines}", tried.median / limit.median, 1.0, ways)
    ways = [seen, posted]
    yield Verdict(f"a correction posted over {lines}", posted.median / limit.median, 2.0, ways, notes=[changed])
    megabytes = (
        f"{peak[0]:,.0f} MB of the process that asks, {peak[1]:,.0f} MB of the other, the benchmark's own included"
    )
    yield Verdict("peak memory, against 600 MB", max(peak) / MOST_MB, 1.0, [], notes=[megabytes])


def _corrected(version: PlanVersion) -> PlanVersion:
    """A draft in which the rules that pay most often have other rates."""
    paid = (
        Entry.objects.filter(rule__version=version, role="serve").exclude(rule__code="base").values_list("rule__code")
    )
    often = [code for code, _ in paid.annotate(count=Count("pk")).order_by("-count", "rule__code")[:CORRECTED]]
    draft = plans.copy(version=version, by=None, now=NOW)
    assert draft.rules.filter(code__in=often).update(calc={"type": "rate", "ppm": 33_000}) == CORRECTED
    return draft


def _assert_posted(wanted: dict, after: int) -> None:
    """What was posted is, for each person, what trying it had said."""
    rows = Entry.objects.of_staff().filter(pk__gt=after).values_list("staff").order_by().annotate(fen=Sum("fen"))
    said = Counter({staff: change.new_fen - change.old_fen for staff, change in wanted.items()})
    assert {staff: fen for staff, fen in rows if fen} == {staff: fen for staff, fen in said.items() if fen}


@contextmanager
def _peak() -> Iterator[list[float]]:
    """Fills in the most memory, in MB, that this process and the largest of its children had meanwhile."""
    Path("/proc/self/clear_refs").write_text("5")
    peak: list[float] = []
    yield peak
    status = Path("/proc/self/status").read_text()
    peak.append(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
    peak.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
