"""素材分类: the shelves of the library, in the order the phone shows them."""

from django.contrib import admin

from clerks.materials.models import MaterialCategory
from retail.scoped_admin import ScopedAdmin


@admin.register(MaterialCategory)
class MaterialCategoryAdmin(ScopedAdmin):
    is_everyday = True
    list_display = ("name", "brand", "place")
    list_select_related = ("brand",)
    list_filter = ("brand",)
    search_fields = ("name",)
    fields = ("brand", "name", "place")
