"""Who works in the shops: seven hundred people with posts, a dozen of whom left or moved during the year."""

import string
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any

from django.contrib.auth.hashers import make_password

from retail.demo import keys, logins, names
from retail.demo.logins import Login
from retail.demo.shops import Shops
from retail.desk import roles
from retail.models import Employment, Post, Staff, Store, User

ROLE = Post.Role
LEAVERS = MOVERS = 6


@dataclass(slots=True)
class Stint:
    """A clerk in a store for a time; `heir` takes over the customers at the end."""

    staff: Staff
    store: Store
    starts_at: datetime
    ends_at: datetime | None = None
    heir: Staff | None = None

    def holds(self, at: datetime) -> bool:
        return self.starts_at <= at and (self.ends_at is None or at < self.ends_at)


@dataclass(slots=True)
class People:
    """Everybody, and who sells where. `by_login`: user name → the person behind that door."""

    staff: list[Staff] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    employments: list[Employment] = field(default_factory=list)
    stints: dict[int, list[Stint]] = field(default_factory=lambda: defaultdict(list))
    by_login: dict[str, Staff] = field(default_factory=dict)

    def clerk(self, rng: Random, store: Store, at: datetime) -> Staff | None:
        """Somebody who sells in that store at that time."""
        stints = self.stints[store.pk]
        for _ in range(4):
            stint = stints[int(rng.random() * len(stints))]
            if stint.holds(at):
                return stint.staff
        return None

    def ended(self) -> Iterator[Stint]:
        return (stint for stints in self.stints.values() for stint in stints if stint.ends_at)


def write(rng: Random, *, shops: Shops, per_store: int, now: datetime, keyring: keys.Keyring) -> People:
    """Hire everybody and write them down."""
    people = People()
    office = _Office(rng, people, now)
    for store in shops.stores:
        _fill_store(office, store, per_store)
    _part_some(rng, people, now)
    _fill_offices(office, shops)
    _write(people, keyring)
    return people


@dataclass(slots=True)
class _Office:
    """Hires one person at a time."""

    rng: Random
    people: People
    now: datetime
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def hire(self, role: str, *, days: int, login: Login | None = None, **place: Any) -> Post:
        number = next(self.numbers)
        is_woman = self.rng.random() < (0.88 if role == ROLE.CLERK else 0.6)
        staff = Staff(
            pk=number,
            code=f"D{number:04d}",
            name=names.of_person(self.rng, is_woman=is_woman),
            share_code="s" + "".join(self.rng.choices(string.ascii_lowercase + "23456789", k=7)),
        )
        starts_at = (self.now - timedelta(days=days)).replace(hour=9, minute=0, second=0, microsecond=0)
        post = Post(pk=number, staff=staff, role=role, starts_at=starts_at, **place)
        self.people.staff.append(staff)
        self.people.posts.append(post)
        self.people.employments.append(Employment(pk=number, staff=staff, starts_at=starts_at))
        if login:
            self.people.by_login[login.username] = staff
        return post


def _fill_store(office: _Office, store: Store, heads: int) -> None:
    """A manager and the clerks; the first clerk of two stores stands behind a door of the demo."""
    behind = {1: logins.CLERK, 5: logins.FRANCHISE_CLERK}
    stints = office.people.stints[store.pk]
    login = logins.STORE_MANAGER if store.pk == 1 else None
    manager = office.hire(ROLE.STORE_MANAGER, days=office.rng.randint(800, 3000), login=login, store=store)
    for place in range(heads - 1):
        days = office.rng.randint(900, 2500) if office.rng.random() < 0.8 else office.rng.randint(40, 360)
        login = behind.get(store.pk) if place == 0 else None
        post = office.hire(ROLE.CLERK, days=1200 if login else days, login=login, store=store)
        stints.append(Stint(post.staff, store, post.starts_at))
    stints.append(Stint(manager.staff, store, manager.starts_at))


def _fill_offices(office: _Office, shops: Shops) -> None:
    for region in shops.regions:
        login = logins.REGION_MANAGER if region.pk == 1 else None
        office.hire(ROLE.REGION_MANAGER, days=1500, login=login, region=region)
    for company in shops.franchisees:
        login = logins.FRANCHISE_OWNER if company.pk == 1 else None
        office.hire(ROLE.FRANCHISE_OWNER, days=1500, login=login, franchisee=company)
    office.hire(ROLE.HQ_OPS, days=1500, login=logins.HQ_OPS)
    office.hire(ROLE.HQ_FINANCE, days=1500, login=logins.HQ_FINANCE)
    office.hire(ROLE.AUDITOR, days=1500, login=logins.AUDITOR)


def _part_some(rng: Random, people: People, now: datetime) -> None:
    """A few clerks of the middle of their store's list left or moved to the next store of their brand."""
    stores = sorted(people.stints)
    for number, store_id in enumerate(rng.sample(stores, min(len(stores), LEAVERS + MOVERS))):
        stints = people.stints[store_id]
        stint = stints[len(stints) // 2]
        ends_at = (now - timedelta(days=rng.randint(25, 330))).replace(hour=21, minute=0, second=0, microsecond=0)
        if stint.starts_at >= ends_at - timedelta(days=20):
            continue
        heir = next(other for other in [*stints[1:], stints[0]] if other is not stint and other.holds(ends_at))
        stint.ends_at, stint.heir = ends_at, heir.staff
        people.posts[stint.staff.pk - 1].ends_at = ends_at
        if number < LEAVERS:
            people.employments[stint.staff.pk - 1].ends_at = ends_at
        else:
            _move(people, stint, ends_at)


def _move(people: People, stint: Stint, at: datetime) -> None:
    target = next(
        stints[0].store
        for stints in [*people.stints.values()][::-1]
        if stints[0].store.brand_id == stint.store.brand_id and stints[0].store != stint.store
    )
    pk = 100_000 + len(people.posts)  # behind the numbers of first posts, which are those of the people
    people.posts.append(Post(pk=pk, staff=stint.staff, role=ROLE.CLERK, store=target, starts_at=at))
    people.stints[target.pk].insert(-1, Stint(stint.staff, target, at))


def _write(people: People, keyring: keys.Keyring) -> None:
    secret = make_password(logins.PASSWORD)
    login_of = {staff.pk: name for name, staff in people.by_login.items()}
    gone = {job.staff_id for job in people.employments if job.ends_at}
    users = User.objects.bulk_create(
        [
            User(
                username=login_of.get(staff.pk, staff.code.lower()),
                password=secret if staff.pk in login_of else "!",
                first_name=staff.name,
                is_active=staff.pk not in gone,
            )
            for staff in people.staff
        ]
    )
    for staff, user in zip(people.staff, users, strict=True):
        staff.user = user
        staff.phone_key_id = keyring.add("phone", "", keys.staff_phone(staff.pk))
    keyring.flush()
    Staff.objects.bulk_create(people.staff)
    Employment.objects.bulk_create(people.employments)
    Post.objects.bulk_create(people.posts)
    _write_rights(people)
    User.objects.create(username=logins.ADMIN.username, password=secret, is_staff=True, is_superuser=True)


def _write_rights(people: People) -> None:
    """Everybody but clerks may use the pages of their role; the groups are `retail.desk.roles`'s."""
    holders = defaultdict(list)
    for post in people.posts:
        if post.role != ROLE.CLERK:
            holders[post.role].append(post.staff.user)
    for role, users in holders.items():
        group = roles.refresh(role=role)
        group.user_set.add(*users)
        User.objects.filter(pk__in=[user.pk for user in users]).update(is_staff=True)
