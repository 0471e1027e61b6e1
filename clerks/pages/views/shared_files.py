"""Pictures, videos and files of what was shared: for anybody who has the code. Browsers keep them an hour."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from clerks.materials import landing, posters
from clerks.materials.links import Found
from clerks.pages.views.shared import of_link
from retail.wecom.models import Media

PUBLIC = {"public": True, "max_age": 3600}


@require_safe
@cache_control(**PUBLIC)
@of_link
def picture(request: HttpRequest, found: Found, place: int) -> HttpResponse:
    return _jpeg(_file(found, place, Media.Kind.IMAGE)[1])


@require_safe
@cache_control(**PUBLIC)
@of_link
def cover(request: HttpRequest, found: Found) -> HttpResponse:
    return _jpeg(landing.cover(share_id=found.share_id))


@require_safe
@cache_control(**PUBLIC)
@of_link
def poster(request: HttpRequest, found: Found) -> HttpResponse:
    one = landing.share(found.share_id)
    if one.material.template is None:
        raise Http404
    origin = settings.SITE_URL or request.build_absolute_uri("/")
    try:
        return _jpeg(posters.picture(share=one, template=one.material.template, now=timezone.now(), origin=origin))
    except posters.Undrawable:
        raise Http404 from None


@require_safe
@cache_control(public=True, max_age=300)
@of_link
def code_picture(request: HttpRequest, found: Found) -> HttpResponse:
    data = landing.code_picture(share_id=found.share_id, now=timezone.now())
    if data is None:
        raise Http404
    return HttpResponse(data, content_type="image/png" if data.startswith(b"\x89PNG") else "image/jpeg")


@require_safe
@cache_control(**PUBLIC)
@of_link
def video(request: HttpRequest, found: Found, place: int) -> HttpResponse:
    """In parts, where they are asked for: some telephones play nothing else."""
    data = _file(found, place, Media.Kind.VIDEO)[1]
    first, last = _range(request.headers.get("Range", ""), len(data))
    is_part = (first, last) != (0, len(data) - 1)
    response = HttpResponse(data[first : last + 1], status=206 if is_part else 200, content_type="video/mp4")
    response["Accept-Ranges"] = "bytes"
    if is_part:
        response["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    return response


def _range(asked: str, size: int) -> tuple[int, int]:
    """The first and the last byte of `bytes=1-9`, `bytes=1-` or `bytes=-9`; all of it for anything else."""
    first, dash, last = asked.removeprefix("bytes=").partition("-")
    if not asked.startswith("bytes=") or not dash or not all(part.isdecimal() or not part for part in (first, last)):
        return 0, size - 1
    if not first:
        return (max(0, size - int(last)), size - 1) if last and len(last) < 12 else (0, size - 1)
    begin, end = int(first[:12]), min(int(last[:12]), size - 1) if last else size - 1
    return (begin, end) if begin <= end else (0, size - 1)


@require_safe
@cache_control(**PUBLIC)
@of_link
def file(request: HttpRequest, found: Found, place: int) -> HttpResponse:
    name, data = _file(found, place, Media.Kind.FILE)
    plain = "".join(letter for letter in name if letter.isprintable())
    response = HttpResponse(data, content_type="application/octet-stream")  # never shown, always kept
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=plain) or "attachment"
    return response


def _file(found: Found, place: int, kind: str) -> tuple[str, bytes]:
    file = landing.file(share_id=found.share_id, place=place, kind=kind) if place < 2**31 else None
    if file is None:
        raise Http404
    return file


def _jpeg(data: bytes | None) -> HttpResponse:
    if not data:
        raise Http404
    return HttpResponse(data, content_type="image/jpeg")
