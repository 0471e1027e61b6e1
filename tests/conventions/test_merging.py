"""Whatever hangs on a member or a membership goes along with a merge, or it is said why it stays."""

from django.apps import apps

from clerks import oneid
from members import moving
from members.models import Member, Membership


def test_every_key_to_a_member_follows_a_merge_or_says_why_not() -> None:
    hanging = {
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.concrete_fields
        if field.is_relation and field.related_model in (Member, Membership)
    }
    ways = (*moving.OF_MEMBER, *moving.OF_MEMBERSHIP, *oneid.WAYS)
    moved = {f"{way.model._meta.label}.{way.column.removesuffix('_id')}" for way in ways}
    stays = moving.STAYS | oneid.STAYS
    assert moved.isdisjoint(stays)
    assert hanging == moved | stays.keys()
    assert all(stays.values())
