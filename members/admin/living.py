"""Lists of people: each once, with the masked number beside the name and the portrait one tap away."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.views import ChangeList

from members.models import Identity, Membership
from retail.models import BuyerKey
from retail.scoped_admin import ScopedAdmin


class _Living(ChangeList):
    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet:
        rows = super().get_queryset(request, exclude_parameters)
        return rows.filter(**{f"{self.model_admin.merged_into}__isnull": True})


class ListsLiving(ScopedAdmin):
    """A list of people, each once: who was merged into somebody else has a page that says so, and no line.

    Beside the name the masked number and the way to the portrait. Two statements tell them for all rows of a page.
    """

    merged_into: str

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _Living

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super().get_changelist_instance(request)
        ids = {_member_id(row) for row in page.result_list}
        phones = Identity.objects.filter(member__in=ids, key__type=BuyerKey.Type.PHONE, is_hearsay=False)
        known = dict(phones.order_by("member", "seen_at", "pk").values_list("member", "key__masked"))
        shown = set(Membership.objects.filter(member__in=ids).values_list("member", flat=True))
        for row in page.result_list:
            row.phone, row.has_portrait = known.get(_member_id(row), "–"), _member_id(row) in shown
        return page

    @display(description=_("手机号"))
    def phone_masked(self, row: Any) -> SafeString:
        return format_html('<span class="figure">{}</span>', row.phone)

    @display(description=_("画像"))
    def portrait_link(self, row: Any) -> SafeString | str:
        """One tap from the list; of who is no member of a brand of the reader's there is none."""
        if not row.has_portrait:
            return "–"
        brand = f"?brand={row.brand_id}" if isinstance(row, Membership) else ""
        address = reverse("portrait", args=[_member_id(row)]) + brand
        return format_html('<a class="text-link" href="{}">{}</a>', address, _("打开画像"))


def _member_id(row: Any) -> int:
    return row.member_id if isinstance(row, Membership) else row.pk
