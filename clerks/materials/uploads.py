"""批量上传: many files given in at once. Each becomes a draft by a job, one after the other; what does not says why.

    give_in ──job material_upload──▶ one file: a draft, or the reason ──▶ … ──▶ the end

A file, its draft and its line in the outcomes come and go in one transaction: at whatever moment the work is stopped,
the next worker goes on with the next file.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _

from clerks.materials import documents, files, writing
from clerks.materials.models import Material, MaterialCategory, MaterialUpload, MaterialVersion, UploadedFile
from clerks.materials.pictures import Unfit
from retail import audit, jobs
from retail.models import Brand, User

JOB = "material_upload"
MOST_FILES = 60
MOST_EACH = 20 * 1024 * 1024
MOST_BYTES = 150 * 1024 * 1024
_OF_ENDING = {"mp4": Material.Kind.VIDEO, **dict.fromkeys(documents.ENDINGS, Material.Kind.FILE)}


class Given(NamedTuple):
    """A file as it was sent; read when its turn comes, so that not all of them lie in memory at once."""

    name: str
    size: int
    read: Callable[[], bytes]


@transaction.atomic
def give_in(
    *,
    brand: Brand,
    category: MaterialCategory | None,
    scene: str,
    given: Iterable[Given],
    by: User | None,
    now: datetime,
) -> MaterialUpload:
    """Keep the files for the job; those that are too large are named at once. Raises Unfit for too many."""
    rows = list(given)
    if not rows:
        raise Unfit(_("请选择文件。"))
    if len(rows) > MOST_FILES:
        raise Unfit(_("一次最多 %(count)s 个文件，请分几次上传。") % {"count": MOST_FILES})
    if sum(row.size for row in rows) > MOST_BYTES:
        raise Unfit(_("合起来太大：一次最多 %(size)s MB，请分几次上传。") % {"size": MOST_BYTES // 1024 // 1024})
    upload = MaterialUpload._base_manager.create(
        brand=brand, category=category, scene=scene, by=by, at=now, count=len(rows)
    )
    for row in rows:
        _keep(upload, row)
    upload.save(update_fields=["outcomes"])
    jobs.enqueue(work=[jobs.Work(JOB, {"upload_id": upload.pk}, f"material-upload:{upload.pk}")], now=now)
    audit.record(by=by, action="material.upload", target=upload, now=now, after={"count": len(rows)})
    return upload


def _keep(upload: MaterialUpload, given: Given) -> None:
    name = documents.display_name(given.name)
    if given.size > MOST_EACH:
        said = _("文件太大：一个最多 %(size)s MB。") % {"size": MOST_EACH // 1024 // 1024}
        upload.outcomes.append({"name": name, "error": said})
    else:
        UploadedFile.objects.create(upload=upload, name=name, data=given.read())


def work(*, upload_id: int, now: Callable[[], datetime]) -> None:
    """A job: every file in its turn, each in a transaction of its own."""
    while _one(upload_id, now()):
        jobs.renew()


@transaction.atomic
def _one(upload_id: int, now: datetime) -> bool:
    """Look at the next file. False where there is none left: that is the end."""
    rows = MaterialUpload._base_manager.select_related("brand", "by")
    upload = rows.select_for_update(of=("self",)).get(pk=upload_id)
    file = UploadedFile.objects.filter(upload=upload).order_by("pk").first()
    if file is None:
        if upload.ended_at is None:
            upload.ended_at = now
            upload.save(update_fields=["ended_at"])
        return False
    upload.outcomes.append({"name": file.name, **_outcome(upload, file, now)})
    upload.save(update_fields=["outcomes"])
    file.delete()
    return True


def _outcome(upload: MaterialUpload, file: UploadedFile, now: datetime) -> dict[str, Any]:
    try:
        with transaction.atomic():
            return {"material": _draft(upload, file, now).material_id}
    except Unfit as unfit:
        return {"error": str(unfit)}


def _draft(upload: MaterialUpload, file: UploadedFile, now: datetime) -> MaterialVersion:
    stem, _dot, ending = file.name.rpartition(".")
    kind = _OF_ENDING.get(ending, Material.Kind.PICTURES)
    looked = files.look(kind=kind, name=file.name, data=bytes(file.data))
    made = Material._base_manager.create(
        brand=upload.brand,
        kind=kind,
        name=(stem or file.name)[:64],
        category_id=upload.category_id,
        scene=upload.scene,
        made_at=now,
    )
    draft = writing.begin(material=made, by=upload.by, now=now, content={})
    writing.add_file(version=draft, file=looked, by=upload.by, now=now)
    return draft
