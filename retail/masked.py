"""A whole number on an admin page: a link beside the masked one, a reason, one look, and an audit row."""

from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from unfold.decorators import display

from retail import privacy
from retail.privacy import BuyerKey
from retail.scoped_admin import ScopedAdmin


class UnmaskingAdmin(ScopedAdmin):
    """Base of pages on which masked identities stand. `keys_of` names those that may be seen whole from there."""

    def keys_of(self, obj: Any) -> QuerySet[BuyerKey]:
        raise NotImplementedError

    def may_unmask(self, request: HttpRequest) -> bool:
        return request.user.has_perm(f"retail.{privacy.PERMISSION}")

    def get_urls(self) -> list[URLPattern]:
        view = never_cache(self.admin_site.admin_view(self.unmask_view))
        one = path("<path:object_id>/unmask/<int:key_id>/", view, name=self._address())
        return [one, *super().get_urls()]

    def _address(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_unmask"

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not self.may_unmask(request) or not self._whole(obj).exists():
            return fieldsets
        return [*fieldsets, (_("完整号码"), {"fields": ("unmask_links",)})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return (*super().get_readonly_fields(request, obj), "unmask_links")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [name for name in super().get_fields(request, obj) if name != "unmask_links"]

    def _whole(self, obj: Any) -> QuerySet[BuyerKey]:
        return self.keys_of(obj).filter(cipher__isnull=False).order_by("pk")

    @display(description=_("每次都要写原因，并记入操作记录"))
    def unmask_links(self, obj: models.Model) -> SafeString:
        said = (
            (key.get_type_display(), key.masked, reverse(f"admin:{self._address()}", args=[obj.pk, key.pk]), _("查看"))
            for key in self._whole(obj)
        )
        return format_html_join("", '<div>{} {} <a class="text-link" href="{}">{}</a></div>', said)

    def unmask_view(self, request: HttpRequest, object_id: str, key_id: int) -> HttpResponse:
        """Ask why; then show the value once, on a page that nobody keeps."""
        obj = self.get_object(request, unquote(object_id))
        if obj is None or not self.has_view_permission(request, obj):
            raise Http404
        if not self.may_unmask(request):
            raise PermissionDenied(_("您的岗位不能查看完整号码。"))
        key = self._whole(obj).filter(pk=key_id).first()
        if key is None:
            raise Http404
        context = {"value": "", "refused": "", "reason": request.POST.get("reason", "")}
        status = 200
        if request.method == "POST":
            try:
                context["value"] = privacy.unmask(
                    key=key, about=obj, by=request.user, reason=context["reason"], now=timezone.now()
                )
            except privacy.NoReason as error:
                context["refused"], status = str(error), 400
            except privacy.QuotaUsed as error:
                context["refused"], status = str(error), 429
        used = privacy.unmasked_today(by=request.user, now=timezone.now())
        context |= {"key": key, "obj": obj, "opts": self.opts, "title": _("查看完整号码"), "used": used}
        context |= {"back": reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[obj.pk])}
        context |= {"most": privacy.most_a_day(), "about": format_html("{} {}", self.opts.verbose_name, obj)}
        page = {**self.admin_site.each_context(request), **context}
        return TemplateResponse(request, "admin/retail/unmask.html", page, status=status)
