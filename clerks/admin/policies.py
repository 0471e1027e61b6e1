"""专属规则: what a brand lays down, in words a manager understands, and what another policy would have done."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from clerks import policies, policy_words, whatif
from clerks.models import PastPolicy, Policy
from retail.models import Brand
from retail.scoped_admin import ScopedAdmin, ScopedTabularInline, moment

MONTHS = 24
SHOWN = 6  # of them, unless somebody asks for others


class PolicyForm(forms.ModelForm):
    class Meta:
        model = Policy
        fields = policies.FIELDS
        help_texts = {
            "protection_days": _("从最后一次往来算起。保护期内，顾客再加别的导购也不改绑。"),
            "rebind": _("保护期过后，顾客又加了别的导购，归谁？"),
            "rebind_idle_days": _("只在选“闲置满天数”时有用：这么多天没有往来才改绑。"),
            "counts_purchases": _("顾客在任何渠道买了东西，保护期重新算。"),
            "counts_replies": _("顾客找导购聊天、回复了，保护期重新算。"),
            "counts_materials": _("顾客打开了导购发的素材，保护期重新算。"),
            "exclusive": _("选“只对同店同事有效”，顾客到别的门店加了那里的导购，就归那位导购。"),
            "customers_cap": _("不填就是不限。满了以后，新来的顾客先留在门店公海，由店长分配。"),
        }

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        idle, protection = given.get("rebind_idle_days"), given.get("protection_days")
        if given.get("rebind") == Brand.Rebind.IDLE and None not in (idle, protection) and idle < protection:
            self.add_error("rebind_idle_days", _("闲置天数不能比保护天数短，否则没有意义。"))
        if given.get("customers_cap") == 0:
            self.add_error("customers_cap", _("至少 1 位；不限就不要填。"))
        return given

    def as_brand(self) -> Brand:
        """The brand as it would be, as far as the form says."""
        wanted = {name: value for name, value in self.cleaned_data.items() if name in policies.FIELDS}
        return Brand(name=self.instance.name, **wanted)


class WhatIfForm(PolicyForm):
    months = forms.IntegerField(label=_("看最近几个月"), min_value=1, max_value=MONTHS, initial=SHOWN)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if not isinstance(field, forms.BooleanField):
                field.widget.attrs["class"] = "desk-input"


class PastInline(ScopedTabularInline):
    model = PastPolicy
    is_read_only = True
    fields = ("ended", "said", "by")
    readonly_fields = fields
    ordering = ("-until",)
    verbose_name_plural = _("以前的规则")
    ended = moment("until", _("到何时"))

    @display(description=_("规则"))
    def said(self, row: PastPolicy) -> str:
        return "".join(policy_words.sentences(row))


@admin.register(Policy)
class PolicyAdmin(ScopedAdmin):
    form = PolicyForm
    list_display = ("name", "protection_days", "rebind", "exclusive", "cap", "since")
    search_fields = ("code", "name")
    ordering = ("code",)
    fieldsets = (
        (_("保护"), {"fields": ("protection_days", "rebind", "rebind_idle_days", "exclusive")}),
        (_("什么算往来"), {"fields": ("counts_purchases", "counts_replies", "counts_materials")}),
        (_("名额"), {"fields": ("customers_cap",)}),
        (_("这样就是"), {"fields": ("explained",)}),
    )
    readonly_fields = ("explained",)
    inlines = (PastInline,)
    since = moment("policy_since", _("规则生效"))

    class Media:
        js = ("js/preview.js",)

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False  # brands are made on their own page

    @display(description=_("每位导购最多"), ordering="customers_cap")
    def cap(self, row: Policy) -> str:
        return str(_("不限")) if row.customers_cap is None else str(row.customers_cap)

    @display(description=_("白话"))
    def explained(self, row: Policy) -> SafeString:
        """Written anew by preview.js while somebody types."""
        address = reverse("admin:clerks_policy_preview", args=[row.pk])
        whatif_page = reverse("admin:clerks_policy_whatif", args=[row.pk])
        return format_html('<div data-address="{}">{}</div>', address, _shown(row, whatif_page))

    def save_model(self, request: HttpRequest, obj: Policy, form: Any, change: bool) -> None:
        """Through the verb, which keeps what held until now and writes the journal itself."""
        wanted = {name: form.cleaned_data[name] for name in form.changed_data if name in policies.FIELDS}
        brand = Brand.objects.get(pk=obj.pk)
        policies.change(brand=brand, wanted=wanted, by=request.user, now=timezone.now())

    def get_urls(self) -> list[URLPattern]:
        own = {"preview": self.preview_view, "whatif": self.whatif_view}
        paths = [
            path(f"<path:object_id>/{name}/", self.admin_site.admin_view(view), name=f"clerks_policy_{name}")
            for name, view in own.items()
        ]
        return [*paths, *super().get_urls()]

    def _row(self, request: HttpRequest, object_id: str) -> Policy:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        return row

    def preview_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The form as it stands, in words; nothing of it is kept."""
        row = self._row(request, object_id)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        form = PolicyForm(request.POST, instance=row)
        if not form.is_valid():
            return HttpResponse(_("还没填完。"))
        wanted = form.as_brand()
        said = {name: value for name in policies.FIELDS if (value := getattr(wanted, name)) not in (None, False)}
        whatif_page = f"{reverse('admin:clerks_policy_whatif', args=[row.pk])}?{urlencode({**said, 'months': SHOWN})}"
        return HttpResponse(_shown(wanted, whatif_page))

    def whatif_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What another policy would have done to the customers of today. Only looks."""
        row, now = self._row(request, object_id), timezone.now()
        form = WhatIfForm(request.GET if "months" in request.GET else None, instance=row, label_suffix="")
        context = {**self.admin_site.each_context(request), "title": _("换个规则会怎样"), "form": form, "brand": row}
        if form.is_bound and form.is_valid():
            wanted = form.as_brand()
            since = now - timedelta(days=30 * form.cleaned_data["months"])
            context["outcome"] = whatif.look(
                brand=Brand.objects.get(pk=row.pk), rules=policies.Rules.of(wanted), cap=wanted.customers_cap,
                since=since, now=now,
            )  # fmt: skip
            context |= {"sentences": policy_words.sentences(wanted), "since": since}
        return TemplateResponse(request, "admin/clerks/policy/whatif.html", context)


def _shown(row: Brand, whatif_page: str) -> SafeString:
    """In words, with a way to see what these rules would have done."""
    context = {"sentences": policy_words.sentences(row), "whatif_page": whatif_page}
    return render_to_string("admin/clerks/policy/words.html", context)
