"""The files of materials: pictures as drawn anew, anything else to be saved; for those it is for."""

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from clerks.materials import library, pictures
from clerks.materials.models import MaterialFile
from clerks.pages import access
from retail.models import Post
from retail.wecom.models import Media, MediaContent

TYPES = {Media.Kind.IMAGE: "image/jpeg", Media.Kind.VIDEO: "video/mp4"}
A_DAY = 24 * 3600  # what lies under a number never changes


@require_safe
@access.in_post_or_desk
def one(request: HttpRequest, file_id: int) -> HttpResponse:
    """`?small=1`: a picture of at most 480 pixels; `?tiny=1`: of 160, for lists on the phone."""
    file = _visible(request).select_related("media").defer("small").filter(pk=file_id).first()
    if file is None:
        raise Http404
    if not {"small", "tiny"}.isdisjoint(request.GET) and file.media.kind == Media.Kind.IMAGE:
        seen = pictures.tiny(bytes(file.small)) if "tiny" in request.GET else bytes(file.small)
        answer = HttpResponse(seen, content_type="image/jpeg")
    else:
        content = MediaContent.objects.get(media=file.media_id)
        answer = HttpResponse(bytes(content.data), content_type=TYPES.get(file.media.kind, "application/octet-stream"))
        is_picture = file.media.kind == Media.Kind.IMAGE
        said = content_disposition_header(as_attachment=not is_picture, filename=file.media.name)
        answer.headers["Content-Disposition"] = said or "attachment"
    answer.headers["Cache-Control"] = f"private, max-age={A_DAY}, immutable"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def _visible(request: HttpRequest) -> QuerySet[MaterialFile]:
    """Of a clerk what may be sent now; who looks after the library sees all of the brands in the scope."""
    rows = MaterialFile.objects.all()
    if request.user.has_perm("materials.view_material"):
        return rows.filter(version__material__owner=None)
    if request.post is None or request.post.role not in (Post.Role.CLERK, Post.Role.STORE_MANAGER):
        return rows.none()
    return rows.filter(version__in=library.sendable(post=request.post, now=timezone.now()).values("live_id"))
