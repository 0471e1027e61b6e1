"""会员画像 for who is above a store: one person with one brand, as far as the reader's scope goes."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from clerks import portraits, timeline
from members.models import Membership
from retail import scope
from retail.gate import framed

PER_PAGE = 30
RELATION = 100  # as many changes of a relation as are shown: a member has a handful


@require_safe
@admin.site.admin_view
def portrait(request: HttpRequest, member_id: int) -> HttpResponse:
    """What stands on the clerk's page of a customer, without what only the clerk can do; `brand`: with which brand."""
    if not request.user.has_perm("members.view_member"):
        raise PermissionDenied(_("您的岗位不能查看会员。"))
    membership, others = _of_brand(request, member_id)
    now, brand = timezone.now(), membership.brand
    reader = portraits.Reader.of_scope(scope.current(), brand_id=brand.pk, corp=brand.corp)
    shown = portraits.of_scope(reader=reader, member_id=member_id, now=now)
    if shown is None:
        raise Http404
    page = timeline.page(reader=reader, member_id=member_id, below=_mark(request), limit=PER_PAGE)
    changes = timeline.page(reader=reader, member_id=member_id, limit=RELATION, only=timeline.RELATION).rows
    context = {"title": shown.name, "portrait": shown, "page": page, "membership": membership, "memberships": others}
    context |= {"relation": changes, "may_assign": request.user.has_perm("clerks.assign_binding")}
    context |= portraits.standing(shown, now=now)._asdict()
    return TemplateResponse(request, "admin/desk/portrait.html", framed(request, context))


def _of_brand(request: HttpRequest, member_id: int) -> tuple[Membership, list[Membership]]:
    """The standing with the brand that is asked for, and all that the reader may see. Raises Http404."""
    rows = Membership.objects.filter(member=member_id, member__merged_into=None)
    found = list(rows.select_related("brand", "member").order_by("pk"))
    wanted = request.GET.get("brand", "")
    chosen = next((one for one in found if str(one.brand_id) == wanted), found[0] if found and not wanted else None)
    if chosen is None:
        raise Http404
    return chosen, found


def _mark(request: HttpRequest) -> timeline.Mark | None:
    text = request.GET.get("below", "")
    try:
        return timeline.Mark.parse(text) if text else None
    except (ValueError, OverflowError):
        raise Http404
