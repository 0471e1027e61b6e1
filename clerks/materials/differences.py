"""What one version says otherwise than another: letter by letter where it is a text."""

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import NamedTuple

from django.utils import timezone

from clerks.materials.models import MaterialVersion
from retail.templatetags.figures import yuan

FIELDS = ("title", "text", "url", "appid", "page", "price_fen", "live_at")


class Part(NamedTuple):
    """A stretch of text: `how` is same, gone or new."""

    how: str
    text: str


class Change(NamedTuple):
    label: str
    parts: list[Part]


def between(*, old: MaterialVersion, new: MaterialVersion) -> list[Change]:
    """The fields in which they differ, in the order of the editor."""
    found, labels = [], {field.name: str(field.verbose_name) for field in MaterialVersion._meta.fields}
    for name in FIELDS:
        before, after = _said(old, name), _said(new, name)
        if before != after:
            found.append(Change(labels[name], list(_parts(before, after))))
    return found


def files_differ(*, old: MaterialVersion, new: MaterialVersion) -> bool:
    one, other = ([row.media_id for row in version.files.order_by("place")] for version in (old, new))
    return one != other


def _said(version: MaterialVersion, name: str) -> str:
    value = getattr(version, name)
    if value is None:
        return ""
    if name == "price_fen":
        return f"¥{yuan(value)}"
    return f"{timezone.localtime(value):%Y-%m-%d %H:%M}" if name == "live_at" else str(value)


def _parts(before: str, after: str) -> Iterator[Part]:
    for _op, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if before[a:b] == after[c:d]:
            yield Part("same", before[a:b])
            continue
        if a < b:
            yield Part("gone", before[a:b])
        if c < d:
            yield Part("new", after[c:d])
