"""顾客:  my own customers, and one of them; from there to the chat."""

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from clerks import portraits
from clerks.models import Friend
from clerks.outreach import contact
from clerks.pages import wecom
from clerks.pages.access import in_store
from members.models import Member
from retail import audit, database, privacy, scope
from retail.models import Post

PER_PAGE = 20


@require_safe
@in_store
def customers(request: HttpRequest) -> HttpResponse:
    """My customers: the next of them for htmx, else a page."""
    page = portraits.of_clerk(staff_id=request.post.staff_id, below=_mark(request), limit=PER_PAGE)
    template = "clerks/customers/_list.html" if request.htmx else "clerks/customers/page.html"
    return render(request, template, {"tab": "customers", "page": page})


@require_safe
@never_cache
@in_store
def customer(request: HttpRequest, *, member_id: int) -> HttpResponse:
    """One customer who is mine, or of my store as far as I may see them; 404 for everybody else."""
    portrait = _portrait(request, member_id)
    context = {"tab": "customers", "portrait": portrait, "app": wecom.app_of(request)}
    return render(request, "clerks/customers/customer.html", context)


@require_POST
@never_cache
@in_store
def chat(request: HttpRequest, *, member_id: int) -> HttpResponse:
    """What WeCom's client calls this customer, to open the chat with; written down who asked."""
    portrait, app = _portrait(request, member_id), wecom.app_of(request)
    if app is None:
        return JsonResponse({"said": _("还没有接入企业微信。")}, status=409)
    now, post = timezone.now(), request.post
    about = {"member_id": member_id, "corp": app.corp_id, "purpose": contact.Purpose.SERVICE, "by": post.staff}
    verdict = contact.may(**about, now=now)
    if not verdict.ok:
        return JsonResponse({"said": verdict.words}, status=409)
    external_userid = _external_userid(post, member_id, app.corp_id)
    if not external_userid:
        return JsonResponse({"said": _("这位顾客还没有加您的企业微信好友。")}, status=409)
    effect = f"chat:{member_id}:{post.staff_id}:{timezone.localdate(now)}"
    contact.touch(**about, store_id=post.store_id, effect=effect, now=now)
    audit.record(by=request.user, action="open_chat", target=portrait.membership.member, now=now)
    return JsonResponse({"externalUserId": external_userid})


@require_POST
@never_cache
@in_store
def send(request: HttpRequest, *, member_id: int) -> HttpResponse:
    """Before words are sent in the chat: may they be? With `sent`, after: that they were is written down."""
    _portrait(request, member_id)
    app = wecom.app_of(request)
    if app is None:
        return JsonResponse({"said": _("还没有接入企业微信。")}, status=409)
    now, post = timezone.now(), request.post
    about = {"member_id": member_id, "corp": app.corp_id, "purpose": contact.Purpose.SERVICE, "by": post.staff}
    if "sent" in request.POST:
        effect = f"words:{member_id}:{post.staff_id}:{timezone.localdate(now)}"
        contact.touch(**about, store_id=post.store_id, effect=effect, now=now)
        return JsonResponse({})
    verdict = contact.may(**about, now=now)
    return JsonResponse({}) if verdict.ok else JsonResponse({"said": verdict.words}, status=409)


def _external_userid(post: Post, member_id: int, corp: str) -> str:
    """What WeCom calls the member in a chat with this clerk; "" where the two are no friends."""
    states = (Friend.State.FRIEND, Friend.State.LOST)  # who deleted the clerk is still in the clerk's list
    # The second net shows clerks no identities at all; that this one may be seen has just been found.
    with database.published(scope.EVERYTHING):
        rows = Friend._base_manager.filter(staff=post.staff_id, member=member_id, corp=corp, state__in=states)
        friend = rows.exclude(key__cipher=None).select_related("key").order_by("-since").first()
        return privacy.reveal(friend.key) if friend else ""


def _portrait(request: HttpRequest, member_id: int) -> portraits.Portrait:
    """Raises Http404 unless the person may see this customer."""
    if not Member._base_manager.filter(pk=member_id, merged_into=None).exists():
        raise Http404
    seen = portraits.relation(post=request.post, member_id=member_id)
    portrait = portraits.portrait(post=request.post, seen=seen)
    if portrait is None:
        raise Http404(_("没有这位顾客，或者不是您的。"))
    return portrait


def _mark(request: HttpRequest) -> portraits.Mark | None:
    text = request.GET.get("below", "")
    try:
        return portraits.Mark.parse(text) if text else None
    except ValueError:
        raise Http404
