"""The life of a version: written, put before somebody else, approved and never changed again.

    begin ─▶ draft ──submit──▶ waiting ──approve, by another person──▶ approved ──revise──▶ the next draft
              ▲ ▲─withdraw───────┤
              └──change── returned ◀── send_back

Whoever wrote a word of it, or put a file into it, cannot approve it: the journal remembers.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from clerks.materials import checks, files
from clerks.materials.models import Material, MaterialFile, MaterialVersion
from retail import audit
from retail.models import AuditRow, User

State = MaterialVersion.State
CONTENT = ("title", "text", "url", "appid", "page", "price_fen", "live_at", "live_from")
EDITABLE = (State.DRAFT, State.RETURNED)
_EDITS = ("add", "change", "material.file", "material.revise")


class Refused(ValueError):
    """This cannot be done with the version as it is; the words are for the person."""


# ── Written ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def begin(*, material: Material, by: User | None, now: datetime, content: Mapping[str, Any]) -> MaterialVersion:
    """The first draft of a material that was just made."""
    draft = _numbered(material, by, now, **{name: content[name] for name in CONTENT if name in content})
    audit.record(by=by, action="add", target=draft, now=now, after={"number": draft.number})
    return draft


def newest(material: Material) -> MaterialVersion | None:
    """The last version, whatever became of it: the one that is written on."""
    return MaterialVersion._base_manager.filter(material=material).order_by("-number").first()


@transaction.atomic
def change(*, version: MaterialVersion, by: User | None, now: datetime, content: Mapping[str, Any]) -> MaterialVersion:
    """Say something else in a draft; what was returned is one again. Raises Refused."""
    held = _editable(version)
    before = {name: getattr(held, name) for name in CONTENT if name in content}
    changed = [name for name, was in before.items() if was != content[name]]
    if not changed:
        return held
    for name in changed:
        setattr(held, name, content[name])
    _reopen(held)
    held.save(update_fields=[*changed, "state"])
    said = [{name: str(values[name]) for name in changed} for values in (before, content)]
    audit.record(by=by, action="change", target=held, now=now, before=said[0], after=said[1])
    return held


@transaction.atomic
def add_file(*, version: MaterialVersion, file: files.Looked, by: User | None, now: datetime) -> MaterialFile:
    """Put a file into a draft. Raises Refused, files.Unfit."""
    held = _editable(version)
    row = files.add(version=held, file=file, now=now)
    _note_files(held, by, now, after={"file": row.media.name})
    return row


@transaction.atomic
def keep_files(*, version: MaterialVersion, ids: Sequence[int], by: User | None, now: datetime) -> None:
    """The files of a draft are these, in this order; others are taken out. Raises Refused."""
    held = _editable(version)
    were = list(held.files.order_by("place").values_list("pk", flat=True))
    kept = [pk for pk in dict.fromkeys(ids) if pk in were]
    if kept == were:
        return
    MaterialFile._base_manager.filter(version=held).exclude(pk__in=kept).delete()
    files.arrange(version=held, ids=kept)
    _note_files(held, by, now, after={"count": len(kept)})


def _note_files(version: MaterialVersion, by: User | None, now: datetime, after: dict[str, Any]) -> None:
    _reopen(version)
    version.save(update_fields=["state"])
    audit.record(by=by, action="material.file", target=version, now=now, after=after)


# ── Decided ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def submit(*, version: MaterialVersion, by: User | None, now: datetime) -> None:
    """Put a draft before somebody else. Raises Refused with all that is missing."""
    held = _editable(version)
    _check(held, now)
    held.state = State.WAITING
    held.save(update_fields=["state"])
    audit.record(by=by, action="material.submit", target=held, now=now)


def _check(version: MaterialVersion, now: datetime) -> None:
    if found := checks.problems(version, now=now):
        raise Refused(" ".join(found.values()))


@transaction.atomic
def withdraw(*, version: MaterialVersion, by: User | None, now: datetime) -> None:
    """Take back what nobody has decided yet, to write on."""
    held = _waiting(version)
    held.state = State.DRAFT
    held.save(update_fields=["state"])
    audit.record(by=by, action="material.withdraw", target=held, now=now)


@transaction.atomic
def approve(*, version: MaterialVersion, by: User | None, now: datetime) -> None:
    """From its hour on clerks send this one. Raises Refused, also to whoever had a hand in it."""
    held = _waiting(version)
    if by is not None and is_own(version=held, by=by):
        raise Refused(_("自己写的、改过的素材要请别人审核。"))
    _check(held, now)
    _decide(held, State.APPROVED, by, now)
    files.follow(now=now, material=held.material)
    audit.record(by=by, action="material.approve", target=held, now=now)


@transaction.atomic
def send_back(*, version: MaterialVersion, by: User | None, now: datetime, reason: str) -> None:
    """Not like this; the reason is shown to who wrote it."""
    held = _waiting(version)
    if not reason.strip():
        raise Refused(_("请写明退回的原因。"))
    if by is not None and held.made_by_id == by.pk:
        raise Refused(_("自己写的素材请用“撤回”。"))
    held.reason = reason.strip()[:200]
    _decide(held, State.RETURNED, by, now)
    audit.record(by=by, action="material.return", target=held, now=now, reason=held.reason)


def _decide(version: MaterialVersion, state: str, by: User | None, now: datetime) -> None:
    version.state, version.decided_by, version.decided_at = state, by, now
    version.save(update_fields=["state", "decided_by", "decided_at", "reason"])


def is_own(*, version: MaterialVersion, by: User) -> bool:
    """Whether they made it, or the journal knows of anything in it that they wrote or put there."""
    if version.made_by_id == by.pk:
        return True
    rows = AuditRow._base_manager.filter(target_type=MaterialVersion._meta.label_lower, target_id=str(version.pk))
    return rows.filter(by=by, action__in=_EDITS).exists()


# ── Afterwards ───────────────────────────────────────────────────────────────────────────────────────────────────────
@transaction.atomic
def revise(*, material: Material, by: User | None, now: datetime) -> MaterialVersion:
    """A new draft that says what was last approved, with its files. What is approved goes on being sent meanwhile."""
    Material._base_manager.select_for_update(of=("self",)).get(pk=material.pk)
    last = newest(material)
    if last is None or last.state != State.APPROVED:
        raise Refused(_("还有一个没审完的版本，先改完它。"))
    draft = _numbered(material, by, now, **{name: getattr(last, name) for name in CONTENT if name != "live_from"})
    files.copy(source=last, draft=draft)
    audit.record(by=by, action="material.revise", target=draft, now=now, before={"number": last.number})
    return draft


def _numbered(material: Material, by: User | None, now: datetime, **content: Any) -> MaterialVersion:
    Material._base_manager.select_for_update(of=("self",)).get(pk=material.pk)  # two at once get two numbers
    versions = MaterialVersion._base_manager.filter(material=material)
    number = (versions.aggregate(last=Max("number"))["last"] or 0) + 1
    return MaterialVersion._base_manager.create(material=material, number=number, made_by=by, made_at=now, **content)


@transaction.atomic
def switch(*, material: Material, is_active: bool, by: User | None, now: datetime) -> None:
    """停用: nobody sends it any more, at once, and its links end within a minute. 启用: again. Raises Refused."""
    held = Material._base_manager.select_for_update(of=("self",)).get(pk=material.pk)
    if held.is_active == is_active:
        raise Refused(_("已经是这样了，请刷新页面看看。"))
    held.is_active = material.is_active = is_active
    held.save(update_fields=["is_active"])
    files.follow(now=now, material=held)
    audit.record(by=by, action="material.revive" if is_active else "material.retire", target=held, now=now)


# ── Held ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _held(version: MaterialVersion) -> MaterialVersion:
    """The version as it is, ours until we commit."""
    rows = MaterialVersion._base_manager.select_related("material__brand", "material__template")
    return rows.select_for_update(of=("self",)).get(pk=version.pk)


def _editable(version: MaterialVersion) -> MaterialVersion:
    held = _held(version)
    if held.state not in EDITABLE:
        raise Refused(_("待审核的先撤回再改；已通过的不能改，请改版。"))
    return held


def _waiting(version: MaterialVersion) -> MaterialVersion:
    held = _held(version)
    if held.state != State.WAITING:
        raise Refused(_("这个版本不在等审核，请刷新页面看看。"))
    return held


def _reopen(version: MaterialVersion) -> None:
    """What was returned and is changed is a draft; why it was returned stays to be read."""
    version.state = State.DRAFT
