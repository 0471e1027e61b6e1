"""A customer opened what a clerk had sent: whose customer they are, what the clerk is paid, which lead comes of it."""

import random
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from clerks import oneid, portraits, responses, timeline
from clerks.leads.models import Lead
from clerks.materials import forgetting
from clerks.materials.models import Opening, Share, Visitor
from clerks.models import Binding, Touch
from commissions import action_words
from commissions.models import ActionEvent, Entry
from members import consent
from members.models import Identity, Member
from retail import privacy
from tests.clerks.leads.scene import CORP, NOON, Scene
from tests.factories import NOW, rated, sharing

pytestmark = pytest.mark.usefixtures("everything")
HOUR = timedelta(hours=1)


@pytest.fixture
def scene(everything: None) -> Scene:
    made = Scene.make()
    rated(made.shop, opened={"fen": 50, "once_per": "customer+content+day"})
    return made


def link(scene: Scene, of: int = 0, **fields) -> Share:
    return sharing.share(sharing.material(scene.shop, "秋冬新款画册"), scene.clerks[of], scene.shop.store, **fields)


def paid() -> int:
    return sum(Entry.objects.filter(kind="cpr", staff__isnull=False).values_list("fen", flat=True))


def test_the_same_openings_told_in_any_order_and_up_to_four_times_come_to_the_same(scene: Scene) -> None:
    """One customer of nobody, three links of one clerk, some days."""
    dice = random.Random(7)
    links = [link(scene) for _ in range(3)]
    for _ in range(6):
        member = scene.member(of=None)
        at = [NOW - timedelta(minutes=dice.randrange(60 * 24 * 20)) for _ in range(5)]
        facts = [(dice.choice(links).pk, moment) for moment in at]
        outcomes = []
        for _ in range(2):
            told = facts * dice.randint(1, 4)
            dice.shuffle(told)
            with transaction.atomic():
                for share_id, moment in told:
                    responses.opened(share_id=share_id, member_id=member.pk, at=moment, now=NOW)
                bound = Binding.objects.get(member=member)
                touches = sorted(Touch.objects.filter(member=member).values_list("effect", flat=True))
                outcomes.append((bound.staff, bound.source, bound.started_at, touches, paid()))
                latest = max(at) + timedelta(days=90)
                assert latest - timedelta(days=1) <= bound.protected_until <= latest
                transaction.set_rollback(True)
        assert outcomes[0] == outcomes[1]
        assert outcomes[0][:3] == (scene.clerks[0], "material", min(at))
        days = {(share_id, timezone.localtime(moment).date()) for share_id, moment in facts}
        assert len(outcomes[0][3]) == len(days) and outcomes[0][4] == 50 * len(days)


def test_what_it_pays_and_whom_it_does_not(scene: Scene) -> None:
    shared, member = link(scene), scene.member(of=1)  # somebody else's customer
    tell = {"share_id": shared.pk, "at": NOW - HOUR, "now": NOW}

    assert responses.opened(member_id=member.pk, **tell)
    assert (paid(), Binding.objects.get().staff) == (50, scene.clerks[1])
    event = ActionEvent.objects.get()
    assert (event.staff, event.store, event.content) == (scene.clerks[0], scene.shop.store, str(shared.material_id))
    assert action_words.contents([event]) == {event.pk: shared.material.name}

    # Merged meanwhile, and told by the old number: the same opening.
    other = scene.member(of=None)
    oneid.merge(keep=other.pk, drop=member.pk, evidence={}, by=None, now=NOW)
    responses.opened(member_id=member.pk, **tell)
    responses.opened(member_id=other.pk, **{**tell, "at": NOW - HOUR / 2})
    assert paid() == 50 and {row.customer for row in ActionEvent.objects.all()} == {member.pk, other.pk}

    # The clerk looked at it themselves.
    sender = scene.member(of=None, is_friend=False)
    key = sender_key(scene, sender)
    scene.clerks[0].phone_key_id = key
    scene.clerks[0].save()
    assert not responses.opened(member_id=sender.pk, **tell)
    assert not Touch.objects.filter(member=sender).exists() and paid() == 50

    # A clerk who had left is not paid, and nobody becomes theirs.
    scene.clerks[0].posts.update(ends_at=NOW - timedelta(days=2))
    stranger = scene.member(of=None)
    responses.opened(member_id=stranger.pk, **tell)
    assert not Binding.objects.filter(member=stranger).exists() and paid() == 50


def sender_key(scene: Scene, member: Member) -> int:
    (key_id,) = privacy.keep([privacy.normalised(privacy.Known("phone", "", "13800001234"))]).values()
    Identity.objects.create(member=member, key_id=key_id, source="test", seen_at=NOW)
    return key_id


def test_who_opens_a_link_twice_is_a_lead_of_who_shared_it_unless_they_want_no_profiling(scene: Scene) -> None:
    shared = link(scene)
    member, quiet, once = (scene.member(of=None) for _ in range(3))
    for one in (member, member, quiet, quiet, once):
        sharing.opening(shared, one.pk, at=NOON - HOUR)
    consent.stop(member=quiet, corp=CORP, purpose="profiling", by=None, now=NOW)
    responses.opened(share_id=shared.pk, member_id=quiet.pk, at=NOON - HOUR, now=NOON)
    assert Binding.objects.get(member=quiet).staff == scene.clerks[0] and paid() == 50

    scene.make_leads()

    lead = Lead.objects.get()
    assert (lead.member, lead.kind, lead.staff, lead.reasons[0]["code"]) == (
        member, "viewed", scene.clerks[0], "reopened",
    )  # fmt: skip


def test_the_story_of_a_customer_says_what_they_opened(scene: Scene) -> None:
    member = scene.member()
    responses.opened(share_id=link(scene).pk, member_id=member.pk, at=NOW, now=NOW)
    reader = portraits.Reader(scene.shop.brand.pk, CORP, is_everything=True)
    told = timeline.page(reader=reader, member_id=member.pk, limit=9).rows[0]
    assert (told.title, told.text) == ("打开了“秋冬新款画册”", scene.clerks[0].name)


def test_whoever_is_forgotten_opened_nothing(scene: Scene) -> None:
    member = scene.member()
    shared = link(scene, member=member)
    sharing.opening(shared, member.pk)
    Visitor.objects.create(key="3f2b5c1e-0000-4000-8000-000000000001", member=member, known_at=NOW)

    assert forgetting.forget(member_ids=[member.pk]) == 1

    assert not any(model.objects.filter(member=member).exists() for model in (Opening, Share, Visitor))
    assert Opening.objects.count() == 1
