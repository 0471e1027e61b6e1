"""A person is forgotten in every room of the house: what remains is the suppression, and facts that name nobody.

Two persons agree to it (`members.erasure.ask`), then a job does it. On the server `manage.py erase` does it at once.

    sealed texts of WeCom that mention them · notices · tags · files, lists given in · errors of jobs
                                                                                            (looked up by value)
    their behaviour · their identities, each a suppression · names, birthdays
                                                                  (last: then nothing can be looked up any more)
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clerks import book, forgetting
from clerks.materials import forgetting as openings
from clerks.models import Notice
from clerks.outreach import notices
from members import erasure
from members.models import Member
from retail import approvals, audit, exports, jobs, privacy
from retail.imports import members
from retail.models import ExportFile, Job, Staff
from retail.wecom import inbox, outbox

JOB = "erase_member"
SHORTEST = 6  # characters of a value that texts are searched for


class Erased(NamedTuple):
    """How many of each are gone."""

    identities: int
    messages: int
    calls: int
    notices: int
    lists: int


@approvals.kind(erasure.KIND, name=gettext_lazy("抹去会员"), permission="members.decide_member")
def _approved(*, target_id: str, payload: dict[str, Any], by: Any, now: datetime) -> int:
    (job_id,) = jobs.enqueue(work=[jobs.Work(JOB, {"member_id": int(target_id)})], now=now)
    return job_id


def as_approved(*, member_id: int, now: datetime) -> None:
    """The job: erase whom two persons agreed on."""
    asked = approvals.Approval._base_manager.filter(
        kind=erasure.KIND, target_id=str(member_id), state=approvals.Approval.State.APPROVED
    )
    approval = asked.latest("decided_at")
    member = Member._base_manager.get(pk=member_id)
    erase(member=member, by=approval.decided_by, reason=approval.reason, now=now)


@transaction.atomic
def erase(*, member: Member, by: Any, reason: str, now: datetime) -> Erased:
    """Forget everything about a person; who was forgotten before stays so. Raises approvals.Refused."""
    privacy.forget_alone()
    whole = erasure.person(member)
    if whole.is_forgotten:
        return Erased(0, 0, 0, 0, 0)
    if objection := erasure.why_not(whole, now=now) or erasure.tells_who(whole, reason):
        raise approvals.Refused(objection)
    # A short one, a number of some shop's own, stands in many texts by chance.
    values = [value.encode() for key in whole.keys if len(value := privacy.reveal(key)) >= SHORTEST]
    told, calls_about = forgetting.forget(member_ids=whole.member_ids)
    openings.forget(member_ids=whole.member_ids, key_ids=whole.key_ids)
    messages = inbox.forget_about(values=values, now=now)
    calls = outbox.forget_about(values=values, keys=calls_about)
    files = exports.forget_about(member_ids=whole.member_ids, key_ids=whole.key_ids)
    lists = members.forget_all()
    _forget_errors([key.masked for key in whole.keys])
    identities = erasure.forget(whole=whole, by=by, reason=reason, now=now)
    book.refresh(member_ids=whole.member_ids, now=now)  # made of what is left
    found = Erased(identities, messages, calls, told, lists)
    audit.record(by=by, action="erase", target=whole.member, now=now, after=found._asdict(), reason=reason)
    for member in Member._base_manager.filter(pk__in=whole.member_ids):  # asked of one who was merged since, too
        approvals.lapse(kind=erasure.KIND, target=member, why=_("已经另行抹去。"), by=by, now=now)
    _tell_askers(files, now)
    return found


def _tell_askers(files: Collection[ExportFile], now: datetime) -> None:
    """Why a file of theirs is empty; who has no page of staff reads it on that of the file."""
    for file in files:
        staff = Staff._base_manager.filter(user=file.asked_by).first()
        if staff is not None:
            effect = f"export.emptied:{file.pk}"
            title, text = _("“%(file)s”已清空") % {"file": file}, file.Because.FORGOTTEN.label
            notices.tell(staff=staff, kind=Notice.Kind.TOLD, title=title, text=str(text), effect=effect, now=now)


def _forget_errors(masks: Collection[str]) -> None:
    """A failed job may have been about them, and its error holds the masked number."""
    for mask in masks:
        if len(mask) > len("****"):
            Job.objects.filter(last_error__contains=mask).update(last_error="")
