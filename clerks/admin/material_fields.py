"""Fields on the pages of materials: several files at once, and several short words in one line."""

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from unfold.widgets import UnfoldAdminTextInputWidget

_BETWEEN = re.compile(r"[,;\s\uff0c\u3001\uff1b]+")  # of any keyboard


class SeveralFiles(forms.ClearableFileInput):
    """With what was chosen below it, shown by chosen.js before anything is sent."""

    allow_multiple_selected = True

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        given = {"name": name, "attrs": self.build_attrs(self.attrs, attrs)}
        return render_to_string("admin/materials/files_input.html", {"widget": given})


class FilesField(forms.FileField):
    """Any number of files at once; the value is a list of them."""

    widget = SeveralFiles

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        given = data if isinstance(data, list | tuple) else [data]
        return [super(FilesField, self).clean(one, None) for one in given if one]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(data)


class LabelsField(forms.CharField):
    """Several short words in one line, with commas of any keyboard between them."""

    def __init__(self, *, most: int = 20, **options: Any) -> None:
        super().__init__(**{"required": False, "widget": UnfoldAdminTextInputWidget, "max_length": 400, **options})
        self.most = most

    def prepare_value(self, value: Any) -> Any:
        return str(_("、")).join(value) if isinstance(value, list | tuple) else value

    def clean(self, value: Any) -> list[str]:  # type: ignore[override]
        found = list(dict.fromkeys(filter(None, _BETWEEN.split(super().clean(value) or ""))))
        if any(len(one) > self.most for one in found):
            raise ValidationError(_("每个词最多 %(count)s 个字。") % {"count": self.most})
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        return list(initial or []) != list(filter(None, _BETWEEN.split(data or "")))
