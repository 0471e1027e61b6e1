"""One customer: the portrait, what to do for them, and from there to the chat."""

from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import F
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from clerks import notes, portraits, tagging, timeline
from clerks.leads import dealing
from clerks.models import Friend, HelpRequest
from clerks.outreach import contact, help
from clerks.pages import wecom
from clerks.pages.access import in_store
from clerks.pages.views import leads, notices
from members import tags
from members.coupons import giving
from members.models import Member, Membership, Tag
from retail import audit, database, privacy, scope
from retail.models import Post
from retail.wecom.models import App

PER_PAGE = 20


@require_safe
@never_cache
@in_store
def customer(request: HttpRequest, *, member_id: int) -> HttpResponse:
    """One customer who is mine, or of my store as far as I may see them; 404 for everybody else.

    Whose customer they were once reads that it ended, and how. `notice`: the one that led here, to be done with here.
    """
    relation, portrait = portraits.of_post(post=request.post, member_id=member_id, now=timezone.now())
    if portrait is None and relation.ended is not None:
        return render(request, "clerks/customers/ended.html", {"tab": "customers", "relation": relation})
    return _page(request, _seen(portrait))


def _page(
    request: HttpRequest, portrait: portraits.Portrait, *, fault: tuple[str, str] = ("", ""), text: str = ""
) -> HttpResponse:
    """`fault`: a form of the page and what was wrong in it; `text`: what was typed, which stands there again."""
    told, now = request.GET.get("notice", ""), timezone.now()
    notice = notices.of(request, int(told)) if told.isascii() and told.isdecimal() and len(told) < 19 else None
    context = {"tab": "customers", "portrait": portrait, "app": wecom.app_of(request), "notice": notice}
    context |= {"faults": dict([fault]), "text": text}
    context |= portraits.standing(portrait, now=now)._asdict()
    context |= leads.beside(request, portrait=portrait, now=now)
    givable = giving.givable(staff=request.post.staff, now=now).annotate(left=F("limit") - F("given"))
    context |= {"givable": givable, "offered": _offered(request, portrait)}
    context |= {"asked": _asked_for_help(request, portrait.member_id), "kinds": HelpRequest.Kind.choices, "now": now}
    return render(request, "clerks/customers/customer.html", context, status=400 if fault[0] else 200)


def _asked_for_help(request: HttpRequest, member_id: int) -> HelpRequest | None:
    """The reader's own question about them that waits."""
    return HelpRequest.objects.open().filter(staff=request.post.staff_id, member=member_id).first()


def _offered(request: HttpRequest, portrait: portraits.Portrait) -> list[Tag]:
    """The tags the clerk can put on them that they do not bear yet."""
    worn = {tag.id for tag in portrait.tags}
    offered = tags.offered(brand_id=request.post.store.brand_id, staff=request.post.staff)
    return [tag for tag in offered[:200] if tag.pk not in worn]


@require_safe
@never_cache
@in_store
def story(request: HttpRequest, *, member_id: int) -> HttpResponse:
    """What happened with them, a page at a time: a part of the portrait for htmx, else a page."""
    portrait, reader = shown(request, member_id), portraits.Reader.of_post(request.post)
    text = request.GET.get("below", "")
    try:
        below = timeline.Mark.parse(text) if text else None
    except (ValueError, OverflowError):
        raise Http404
    page = timeline.page(reader=reader, member_id=member_id, below=below, limit=PER_PAGE)
    template = "clerks/customers/_story.html" if request.htmx else "clerks/customers/story.html"
    return render(request, template, {"tab": "customers", "portrait": portrait, "page": page})


# ── What is done on the page ─────────────────────────────────────────────────────────────────────────────────────────
@require_POST
@never_cache
@in_store
def delete_note(request: HttpRequest, *, member_id: int, note_id: int) -> HttpResponse:
    shown(request, member_id)
    if not notes.delete(post=request.post, member_id=member_id, note_id=note_id, now=timezone.now()):
        raise Http404
    return redirect("clerks:customer", member_id=member_id)


@require_POST
@never_cache
@in_store
def note(request: HttpRequest, *, member_id: int) -> HttpResponse:
    """Write something down about them; what cannot be kept stays in the field, with why."""
    shown(request, member_id)
    text = request.POST.get("text", "")
    try:
        notes.write(post=request.post, member_id=member_id, text=text, now=timezone.now())
    except notes.BadNote as error:
        return _page(request, shown(request, member_id), fault=("note", str(error)), text=text[: 2 * notes.LONGEST])
    return redirect("clerks:customer", member_id=member_id)


@require_POST
@never_cache
@in_store
def ask(request: HttpRequest, *, member_id: int) -> HttpResponse:
    """求助: a question about them to whoever stands above."""
    shown(request, member_id)
    post, text, kind = request.post, request.POST.get("text", ""), request.POST.get("kind", "")
    who = {"staff": post.staff, "store": post.store, "member_id": member_id}
    try:
        made = help.ask(**who, kind=kind, text=text, now=timezone.now())
    except help.Refused as error:
        return _page(request, shown(request, member_id), fault=("help", str(error)), text=text[: 2 * help.LONGEST])
    return redirect("clerks:help_one", help_id=made.pk)


@require_POST
@never_cache
@in_store
def give(request: HttpRequest, *, member_id: int) -> HttpResponse:
    """发券: one of the clerk's quota for the customer."""
    portrait, post, now = shown(request, member_id), request.post, timezone.now()
    quota = giving.givable(staff=post.staff, now=now).filter(pk=_number(request, "quota")).first()
    try:
        if quota is None:
            raise giving.Refused(_("请先选一种券。"))
        membership = Membership._base_manager.get(pk=portrait.membership_id)
        who = {"staff": post.staff, "store": post.store, "by": request.user}
        giving.give(type=quota.type, membership=membership, **who, now=now)
    except giving.Refused as error:
        return _page(request, shown(request, member_id), fault=("coupon", str(error)))
    return redirect(f"{reverse('clerks:customer', args=[member_id])}?given={quota.type_id}#give")


@require_POST
@never_cache
@in_store
def tag(request: HttpRequest, *, member_id: int) -> HttpResponse:
    """Put a tag on them: one of those there are, or a word of one's own. With `off` take one off."""
    shown(request, member_id)
    staff, now, word = request.post.staff, timezone.now(), request.POST.get("word", "").strip()
    try:
        one = tags.own(staff=staff, name=word, now=now) if word else _tag(request, now)
        verb = tagging.take_off if "off" in request.POST else tagging.put
        verb(tag=one, member_ids=[member_id], staff=staff, now=now)
    except tags.Refused as error:
        return _page(request, shown(request, member_id), fault=("tag", str(error)), text=word)
    return redirect("clerks:customer", member_id=member_id)


def _tag(request: HttpRequest, now: datetime) -> Tag:
    """One of those this clerk can put on somebody and take off. Raises tags.Refused."""
    offered = tags.offered(brand_id=request.post.store.brand_id, staff=request.post.staff)
    found = offered.filter(pk=_number(request, "tag")).first()
    if found is None:
        raise tags.Refused(_("请先选一个标签。"))
    return found


def _number(request: HttpRequest, name: str) -> int:
    text = request.POST.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


# ── To the chat ──────────────────────────────────────────────────────────────────────────────────────────────────────
class Refused(Exception):
    """The clerk cannot turn to this customer now; the words say why."""


class Asked(NamedTuple):
    """A clerk turns to a customer: through which application, and what `contact` wants to know."""

    app: App
    portrait: portraits.Portrait
    about: dict[str, Any]

    def touch(self, *, effect: str, store_id: int | None, now: datetime) -> None:
        day, staff_id = timezone.localdate(now), self.about["by"].pk
        named = f"{effect}:{self.about['member_id']}:{staff_id}:{day}"
        contact.touch(**self.about, store_id=store_id, effect=named, now=now)


def asked_for(request: HttpRequest, member_id: int) -> Asked:
    """Raises Refused where there is no WeCom to speak through, and Http404."""
    portrait = shown(request, member_id)
    app = wecom.app_of(request)
    if app is None:
        raise Refused(_("还没有接入企业微信。"))
    about = {"member_id": member_id, "corp": app.corp_id, "purpose": contact.Purpose.SERVICE, "by": request.post.staff}
    return Asked(app, portrait, about)


def allowed(request: HttpRequest, member_id: int, now: datetime) -> Asked:
    """They may be contacted now. Raises Refused and Http404."""
    asked = asked_for(request, member_id)
    verdict = contact.may(**asked.about, now=now)
    if not verdict.ok:
        raise Refused(str(verdict.words))
    return asked


def opened(request: HttpRequest, asked: Asked, now: datetime) -> str:
    """What WeCom's client calls this customer, to open the chat with; written down who asked. Raises Refused."""
    member_id = asked.portrait.member_id
    friend = _friend(request.post, member_id, asked.app.corp_id)
    if friend is None:
        raise Refused(_("这位顾客还没有加您的企业微信好友。"))
    if friend.state == Friend.State.LOST:
        raise Refused(_("这位顾客已经把您删除，消息发不过去了。"))
    asked.touch(effect="chat", store_id=request.post.store_id, now=now)
    audit.record(by=request.user, action="open_chat", target=Member(pk=member_id), now=now)
    return privacy.reveal(friend.key)


def told(request: HttpRequest, asked: Asked, now: datetime) -> None:
    """Something went out in the chat."""
    asked.touch(effect="words", store_id=request.post.store_id, now=now)
    dealing.sent(member_id=asked.portrait.member_id, by=request.post.staff, now=now)


def no(words: object) -> JsonResponse:
    return JsonResponse({"said": str(words)}, status=409)


@require_POST
@never_cache
@in_store
def chat(request: HttpRequest, *, member_id: int) -> HttpResponse:
    """To the chat with this customer."""
    now = timezone.now()
    try:
        return JsonResponse({"externalUserId": opened(request, allowed(request, member_id, now), now)})
    except Refused as refusal:
        return no(refusal)


@require_POST
@never_cache
@in_store
def send(request: HttpRequest, *, member_id: int) -> HttpResponse:
    """Before words are sent in the chat: may they be? With `sent`, after: that they were is written down."""
    now = timezone.now()
    try:
        if "sent" in request.POST:
            told(request, asked_for(request, member_id), now)
        else:
            allowed(request, member_id, now)
    except Refused as refusal:
        return no(refusal)
    return JsonResponse({})


def _friend(post: Post, member_id: int, corp: str) -> Friend | None:
    """The member as this clerk's friend in WeCom: one who still is, else one who has deleted the clerk."""
    states = (Friend.State.FRIEND, Friend.State.LOST)
    # The second net shows clerks no identities at all; that this one may be seen has just been found.
    with database.published(scope.EVERYTHING):
        rows = Friend._base_manager.filter(staff=post.staff_id, member=member_id, corp=corp, state__in=states)
        found = rows.exclude(key__cipher=None).select_related("key").order_by("-since")
        return min(found, key=lambda friend: friend.state != Friend.State.FRIEND, default=None)


def shown(request: HttpRequest, member_id: int) -> portraits.Portrait:
    """Raises Http404 unless the person may see this customer."""
    return _seen(portraits.of_post(post=request.post, member_id=member_id, now=timezone.now()).portrait)


def _seen(portrait: portraits.Portrait | None) -> portraits.Portrait:
    if portrait is None:
        raise Http404(_("没有这位顾客，或者不是您的。"))
    return portrait
