"""What a clerk may send, and how it came to be."""

from datetime import timedelta

from clerks.materials import library
from retail.models import Staff
from tests.factories import NOW
from tests.factories.materials import add_version


def names(post, now=NOW):
    return set(library.sendable(post=post, now=now).values_list("name", flat=True))


def test_each_clerk_sees_what_is_for_them_and_in_force(shop, material, post):
    other = shop.another_store()
    li = post("li")
    Staff.objects.filter(pk=li.staff_id).update(grade="资深")
    li.staff.grade = "资深"
    material(name="all")
    material(name="here", stores=[shop.store], regions=[shop.region])
    material("pictures", name="elsewhere", stores=[other])
    material(name="seniors", grades=["资深", "店长"])
    material(name="juniors", grades=["初级"])
    material(name="over", valid_until=NOW)
    material(name="to come", valid_from=NOW + timedelta(days=1))
    material(name="off", is_active=False)
    material(name="draft", state="draft")
    material(name="hers", owner=shop.staff["wang"])
    material(name="own", owner=shop.staff["li"])
    assert names(li) == {"all", "here", "seniors", "own"}
    assert names(li, NOW + timedelta(days=2)) == {"all", "here", "seniors", "own", "to come"}


def test_the_newest_approved_version_whose_time_has_come_is_sent(material, post):
    made = material()
    add_version(made, live_from=NOW + timedelta(days=1))
    add_version(made, state="draft")

    def live(now):
        return made.versions.get(pk=library.sendable(post=post("li"), now=now).get().live_id).number

    assert (live(NOW), live(NOW + timedelta(days=1))) == (1, 2)
