"""The world a simulator begins with: plain data in, records out."""

import secrets
from collections.abc import Mapping
from typing import Any

from retail.wecom.simulator.api import tags
from retail.wecom.simulator.world import App, Corp, Customer, Department, Follow, Member, Target, World

Plain = Mapping[str, Any]


def fill(world: World, seed: Plain) -> None:
    """`seed`: {"corps": [{corp_id, name, apps, departments, members, customers, follows, tags}]}, the lists of objects
    with the names of the records' fields; `tags`: {group name: [tag name]}; `target` of an app: {url, token, aes_key},
    taken without asking the URL. Secrets that are not given are made up."""
    for one in seed["corps"]:
        corp = world.corps[one["corp_id"]] = Corp(one["corp_id"], one["name"])
        for row in one.get("apps", ()):
            add_app(corp, row)
        for row in [{"id": 1, "name": one["name"], "parentid": 0}, *one.get("departments", ())]:
            corp.departments[row["id"]] = Department(**row)
        for row in one.get("members", ()):
            corp.members[row["userid"]] = Member(**row)
        for row in one.get("customers", ()):
            corp.customers[row["external_userid"]] = Customer(**row)
        _relate(world, corp, one)


def add_app(corp: Corp, row: Plain) -> App:
    target = Target(**row["target"]) if row.get("target") else None
    row = {name: set(value) if isinstance(value, list) else value for name, value in row.items()}
    app = App(**{"secret": secrets.token_urlsafe(32), **row, "target": target})
    corp.apps[app.agent_id] = app
    return app


def _relate(world: World, corp: Corp, one: Plain) -> None:
    for row in one.get("follows", ()):
        follow = Follow(**{"created_at": world.clock.stamp(), **row})
        corp.follows[follow.userid, follow.external_userid] = follow
        corp.once.add((follow.userid, follow.external_userid))
    for name, names in one.get("tags", {}).items():
        rows = [{"name": tag, "order": 0} for tag in names]
        tags.add_tags(world, corp, group_id="", group_name=name, order=0, tags=rows, app=0)
