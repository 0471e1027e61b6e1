"""The work of runs over history (their life is in commissions.runs): judging a range, and posting what differs.

A worker is one of several processes already, so a run does not start another; `manage.py recompute` does.
"""

import logging
from datetime import datetime

from django.utils.translation import gettext as _

from commissions import engine, plans, runs, tried_tiers
from commissions.models import Run
from retail import bulk
from retail.models import Order

log = logging.getLogger(__name__)


def work(*, run_id: int, now: datetime) -> None:
    """A job: the step the run waits for. A killed one is taken up again: judging from the start, posting where it was.

    Raises what the job is to be tried again for.
    """
    run = Run.objects.select_related("version", "brand").get(pk=run_id)
    step = {Run.State.WAITING: _judge, Run.State.RUNNING: _judge, Run.State.POSTING: _post}.get(Run.State(run.state))
    if step is None:
        return
    try:
        step(run, now)
    except runs.Stopped:
        log.warning("%s was cancelled.", run)
    except engine.PlanError as error:
        runs.fail(run=run, trouble=_("方案版本有错：%(error)s") % {"error": error}, now=now)
    except Exception:
        runs.note(run=run, trouble=_("出错了，过一会儿会自动再试。"))
        raise


def _judge(run: Run, now: datetime) -> None:
    runs.begin(run=run, state=Run.State.RUNNING, now=now)
    facts = runs.facts_of(run)
    version = plans.as_it_stands(run.version) if run.version else None
    outcome = bulk.judge(among=runs.orders_of(run), version=version, how=_how(run))
    bonuses = None
    if run.version:
        bonuses = tried_tiers.reckon(version=run.version, first=run.first_on, last=run.last_on, now=now)
    runs.keep(run=run, outcome=outcome, bonuses=bonuses, facts=facts, now=now)


def _post(run: Run, now: datetime) -> None:
    runs.begin(run=run, state=Run.State.POSTING, now=now)
    facts = runs.facts_of(run)
    among = Order.objects.filter(pk__among=runs.still_to_post(run))
    done = bulk.recompute(among=among, now=now, how=_how(run), run=run.pk)
    runs.end_posting(run=run, failed=done.failed, facts=facts, now=now)


def _how(run: Run) -> bulk.How:
    return bulk.How(processes=1, progress=runs.Progress(run))
