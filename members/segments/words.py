"""A condition as one sentence."""

from django.utils.translation import gettext as _

from members.segments.grammar import Condition, Group
from members.segments.names import Names


def sentence(tree: Group, names: Names) -> str:
    """近 12 个月消费满 3,000 元，并且近 60 天没有购买，并且排除（有标签「员工」）。"""
    return _("%(what)s。") % {"what": _said(tree, names, is_inner=False)}


def _said(part: Condition | Group, names: Names, *, is_inner: bool) -> str:
    if isinstance(part, Condition):
        return part.kind.words(part.said, names)
    inner = [_said(one, names, is_inner=len(part.parts) > 1) for one in part.parts]
    if part.match == "none":
        return _("排除%(what)s") % {"what": _bracketed(_("，或者").join(inner))}
    said = (_("，并且") if part.match == "all" else _("，或者")).join(inner)
    return _bracketed(said) if is_inner and len(inner) > 1 else said


def _bracketed(said: str) -> str:
    return _("（%(what)s）") % {"what": said}
