"""What is said: the editor of welcomes with a preview, what became of each, touches, notices."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.decorators import display

from clerks.models import ContactWay, Greeting, Notice, Shift, Touch, Welcome, WelcomePart
from clerks.outreach import notices, welcome, wording
from retail.models import Brand, Staff, Store
from retail.scoped_admin import Badge, EstimatedPaginator, ScopedAdmin, ScopedStackedInline, moment, visible
from retail.wecom.models import Media


class PartForm(ModelForm):
    """What WeCom would refuse is refused here."""

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        part = WelcomePart(**{name: given.get(name) or "" for name in ("kind", "title", "about")})
        for field, words in wording.part_problems(part).items():
            self.add_error(field, words)
        if words := welcome.misfit(kind=part.kind, media=given.get("media"), corp=_corp_of(self.instance)):
            self.add_error("media", words)
        return given


def _corp_of(part: WelcomePart) -> str:
    """The corp of the welcome above, as far as that was chosen."""
    above = part.welcome if part.welcome_id or "welcome" in part._state.fields_cache else None
    return above.brand.corp if above and above.brand_id else ""


class PartInline(ScopedStackedInline):
    model = WelcomePart
    form = PartForm
    fields = ("kind", "title", "about", "url", "picture_url", "media", "appid", "page")
    verbose_name_plural = _("附件（最多九个）")

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        return super().get_formset(request, obj, **{**kwargs, "max_num": welcome.MOST_PARTS, "validate_max": True})


class WelcomeForm(ModelForm):
    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        row = Welcome(**{name: given.get(name) for name in ("brand", "store", "staff")}, text=given.get("text") or "")
        for words in wording.problems(row) if row.brand_id else ():
            self.add_error("text", words)
        return given


@admin.register(Welcome)
class WelcomeAdmin(ScopedAdmin):
    is_everyday = True
    form = WelcomeForm
    list_display = ("name", "brand", "way", "store", "staff", "when", "is_active")
    list_select_related = ("brand", "way", "store", "staff")
    list_filter = ("brand", "store", "is_active")
    search_fields = ("name", "text")
    autocomplete_fields = ("way", "store", "staff")
    ordering = ("-pk",)
    fields = ("name", "brand", "way", "store", "staff", "starts", "ends", "text", "is_active", "preview")
    readonly_fields = ("preview",)
    inlines = (PartInline,)

    class Media:
        js = ("js/preview.js",)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs["help_texts"] = {
            "text": _("可以写 {clerk}、{store}、{brand}，发出时换成导购、门店和品牌的名字。"),
            "way": _("越具体越优先：活码、导购、门店、时段，都空着就是整个品牌的。"),
        }
        return super().get_form(request, obj, change, **kwargs)

    @display(description=_("什么时候"))
    def when(self, row: Welcome) -> str:
        return f"{row.starts:%H:%M}–{row.ends:%H:%M}" if row.starts and row.ends else str(_("全天"))

    @display(description=_("顾客会看到"))
    def preview(self, row: Welcome) -> SafeString:
        """With the names of somebody whom it fits; written anew by preview.js while somebody types."""
        shown = _shown(row, None) if row.pk else ""
        address = reverse("admin:clerks_welcome_preview")
        return format_html('<div id="welcome-preview" data-address="{}">{}</div>', address, shown)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.preview_view)
        return [path("preview/", view, name="clerks_welcome_preview"), *super().get_urls()]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """What the form as it stands would say; nothing of it is kept."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        sent = request.POST
        row = Welcome(text=sent.get("text", "")[: wording.MOST_BYTES])
        row.brand = _named(Brand, sent.get("brand")) or Brand(name="")
        row.staff, row.store, row.way = (
            _named(Staff, sent.get("staff")),
            _named(Store, sent.get("store")),
            _named(ContactWay, sent.get("way")),
        )
        return HttpResponse(_shown(row, _parts(sent)))


def _shown(row: Welcome, parts: list[WelcomePart] | None) -> SafeString:
    staff, store = _somebody(row)
    text = welcome.text_of(welcome=row, staff=staff, store=store)
    shown = welcome.parts_of(welcome=row) if parts is None else parts
    size = wording.size(row) if row.brand_id else len(text.encode())
    context = {"text": text, "parts": shown, "staff": staff, "size": size, "most": wording.MOST_BYTES}
    return render_to_string("admin/clerks/welcome/preview.html", context)


def _named(model: Any, number: str | None) -> Any:
    """The row of a number in the form, as far as the reader may see it."""
    is_number = number is not None and number.isascii() and number.isdecimal() and len(number) < 19
    return visible(model).filter(pk=number).first() if is_number else None


def _parts(sent: Any) -> list[WelcomePart]:
    """The attachments in the form that are not to be deleted."""
    names = [field for field in PartInline.fields if field not in ("kind", "media")]
    found = []
    for number in range(welcome.MOST_PARTS):
        given = {name: sent.get(f"parts-{number}-{name}", "") for name in names}
        kind, media = sent.get(f"parts-{number}-kind", ""), _named(Media, sent.get(f"parts-{number}-media"))
        is_filled = media is not None or any(given.values())
        if kind in WelcomePart.Kind.values and is_filled and not sent.get(f"parts-{number}-DELETE"):
            found.append(WelcomePart(kind=kind, media=media, **given))
    return found


def _somebody(row: Welcome) -> tuple[Staff | None, Any]:
    shift = Shift.objects.filter(way=row.way).select_related("staff").first() if row.way else None
    staff = row.staff or (shift.staff if shift else None)
    store = row.store or (row.brand.stores.order_by("pk").first() if row.brand.pk else None)
    if staff is None and store is not None:
        staff = Staff.objects.filter(posts__store=store).order_by("pk").first()
    return staff, store


@admin.register(Greeting)
class GreetingAdmin(ScopedAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("received", "staff", "store", "welcome", "state_now", "seconds", "attempts", "errcode")
    list_select_related = ("staff", "store", "welcome")
    list_filter = ("state", "store", "received_at")
    ordering = ("-pk",)
    fields = ("received_at", "staff", "store", "welcome", "state", "left_out", "seconds", "attempts", "errcode")
    received = moment("received_at", _("收到"))

    @display(
        description=_("结果"), label={"sent": "success", "missed": "danger", "taken": "warning", "less": "warning"}
    )
    def state_now(self, row: Greeting) -> Badge:
        if row.left_out:
            words = ngettext("已发送，少 %(count)s 个附件", "已发送，少 %(count)s 个附件", row.left_out)
            return Badge("less", words % {"count": row.left_out})
        return Badge(row.state, row.get_state_display())

    @display(description=_("用时"))
    def seconds(self, row: Greeting) -> str:
        return "–" if row.took_ms is None else str(_("%(count).1f 秒")) % {"count": row.took_ms / 1000}


@admin.register(Touch)
class TouchAdmin(ScopedAdmin):
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("when", "member", "staff", "store", "purpose")
    list_select_related = ("member", "staff", "store")
    list_filter = ("purpose", "store", "at")
    ordering = ("-pk",)
    fields = ("at", "member", "staff", "store", "purpose")
    when = moment("at", _("时间"))


@admin.register(Notice)
class NoticeAdmin(ScopedAdmin):
    is_everyday = True
    is_read_only = True
    paginator = EstimatedPaginator
    list_display = ("title", "staff", "store", "kind", "sent", "state_now")
    list_select_related = ("staff", "store")
    list_filter = ("kind", "store", "is_todo", "created_at")
    search_fields = ("title", "staff__name", "staff__code")
    ordering = ("-pk",)
    fields = ("title", "text", "staff", "store", "kind", "created_at", "read_at", "done_at")
    sent = moment("created_at", _("发出"))
    actions = ("remind",)

    @display(description=_("状态"), label={"unread": "warning", "read": "info", "done": "success"})
    def state_now(self, row: Notice) -> Badge:
        if row.done_at is not None:
            return Badge("done", _("已处理"))
        return Badge("read", _("已读")) if row.read_at is not None else Badge("unread", _("未读"))

    @admin.action(description=_("再提醒未读的人"))
    def remind(self, request: HttpRequest, queryset: Any) -> None:
        count = notices.remind(notices=queryset, now=timezone.now())
        self.message_user(request, _("提醒了 %(count)s 人。") % {"count": count})
