"""Events told at the same moment: once per person, the cap and the budget hold all the same."""

import threading

import pytest
from django.db import connection

from commissions import actions
from commissions.actions import Action
from commissions.models import ActionEvent, Entry
from members import identity
from members.models import Member
from retail import scope
from tests.factories import NOW, number, rated, world
from tests.figures import figure

TELLERS = 5


def tell(told, start, failures):
    try:
        start.wait()
        with scope.within(scope.EVERYTHING):
            for action in told:
                actions.act(action=action, now=NOW, persons=identity.persons)
    except Exception as error:
        failures.append(error)
    finally:
        connection.close()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_nothing_is_paid_twice_by_those_who_tell_at_once(size):
    races, wrong = (200 if size == "full" else 12), 0
    with scope.within(scope.EVERYTHING):
        for _race in range(races):
            shop = world()
            clerk = shop.hire(f"race{number()}")
            rated(
                shop,
                friend={"fen": 500},
                wake={"fen": 100, "once_per": "", "min_inactive_days": 30, "budget_fen": 250},
                opened={"fen": 10, "once_per": "", "daily_cap": 3},
            )
            one, other = (Member.objects.create(created_at=NOW) for _ in range(2))
            Member.objects.filter(pk=other.pk).update(merged_into=one)
            told = [
                [
                    Action(
                        number=f"{type}:{number()}",
                        type=type,
                        brand_id=shop.brand.pk,
                        staff_id=clerk.pk,
                        store_id=shop.store.pk,
                        at=NOW,
                        customer=(one, other)[teller % 2].pk,
                        active_days=40,
                    )
                    for type in ("friend", "wake", "opened")
                ]
                for teller in range(TELLERS)
            ]
            same = Action(number=f"same{number()}", type="opened", brand_id=shop.brand.pk, staff_id=clerk.pk,
                          store_id=shop.store.pk, at=NOW)  # fmt: skip
            start, failures = threading.Barrier(TELLERS), []
            threads = [threading.Thread(target=tell, args=([*some, same], start, failures)) for some in told]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert failures == []
            paid = ActionEvent.objects.filter(brand=shop.brand, reason="")
            counts = [paid.filter(type=type).count() for type in ("friend", "wake", "opened")]
            wrong += counts != [1, 2, 3] or ActionEvent.objects.filter(number=same.number).count() != 1
            wrong += sum(Entry.objects.filter(staff=clerk).values_list("fen", flat=True)) != 500 + 200 + 30
    figure("actions", f"{races} races of {TELLERS} who tell of a friend, a sleeper, an opening: {wrong} paid wrongly")
    assert wrong == 0
