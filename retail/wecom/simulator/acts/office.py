"""The administrator: who works here, in which department, and which tags customers can have."""

from typing import Any

from retail.wecom.simulator.acts.telling import ID, MAYBE, Telling, Told, act
from retail.wecom.simulator.api import tags
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.shapes import Flag, Many, Text, Whole
from retail.wecom.simulator.world import Corp, Department, Member


class Office(Telling):
    @act(userid=ID, name=Text(64, least=1), department=Many(Whole(), default=(1,)), position=Text(default=""))
    def hire(self, corp: Corp, *, userid: str, name: str, department: list[int], position: str) -> Told:
        """One create_user and, in the same second, one update_user: as the vendor does."""
        corp.members[userid] = Member(userid, name, list(department), position)
        parties = ",".join(map(str, department))
        self._tell_of_address_book(corp, "create_user", UserID=userid, Department=parties)
        self._tell_of_address_book(corp, "update_user", UserID=userid, Department=parties)
        return {}

    @act(
        userid=ID,
        name=Text(64, default=None),
        department=Many(Whole(), default=None),
        new_userid=MAYBE,
        welcome=Text(default=None),
        is_active=Flag(default=None),
        may_have_customers=Flag(default=None),
        customer_limit=Whole(default=None),
    )
    def change_member(self, corp: Corp, *, userid: str, new_userid: str, **changed: Any) -> Told:
        member = corp.member(userid)
        for name, value in changed.items():
            if value is not None:
                setattr(member, name, value)
        fields: Told = {"UserID": member.userid}
        if new_userid:
            self._rename(corp, member, new_userid)
            fields["NewUserID"] = new_userid
        self._tell_of_address_book(corp, "update_user", **fields, Department=",".join(map(str, member.department)))
        return {}

    def _rename(self, corp: Corp, member: Member, new_userid: str) -> None:
        old, member.userid = member.userid, new_userid
        corp.members = {one.userid: one for one in corp.members.values()}
        for (userid, who), follow in list(corp.follows.items()):
            if userid == old:
                follow.userid = new_userid
                del corp.follows[userid, who]
                corp.follows[new_userid, who] = follow

    @act(userid=ID)
    def leave(self, corp: Corp, *, userid: str) -> Told:
        """A member leaves the corporation; the customers wait for somebody to take over."""
        member = corp.member(userid)
        member.left_at = self._now
        for follow in corp.follows_of(member.userid):
            corp.unassigned[member.userid, follow.external_userid] = self._now
            del corp.follows[member.userid, follow.external_userid]
        for chat in corp.chats.values():
            if chat.owner == member.userid:
                chat.status = 1
        self._tell_of_address_book(corp, "delete_user", UserID=member.userid)
        return {}

    @act(name=Text(64, least=1), parentid=Whole(default=1), id=Whole(default=None))
    def create_department(self, corp: Corp, *, name: str, parentid: int, id: int | None) -> Told:
        number = max(corp.departments, default=0) + 1 if id is None else id
        corp.departments[number] = Department(number, name, parentid)
        self._tell_of_address_book(corp, "create_party", Id=number, ParentId=str(parentid))
        return {"id": number}

    @act(id=Whole(), name=Text(64, default=""), parentid=Whole(default=None))
    def change_department(self, corp: Corp, *, id: int, name: str, parentid: int | None) -> Told:
        """Only a move is told, not a new name."""
        one = self._department(corp, id)
        one.name = name or one.name
        if parentid is not None and parentid != one.parentid:
            one.parentid = parentid
            self._tell_of_address_book(corp, "update_party", Id=id, ParentId=str(parentid))
        return {}

    @act(id=Whole())
    def delete_department(self, corp: Corp, *, id: int) -> Told:
        self._department(corp, id)
        del corp.departments[id]
        self._tell_of_address_book(corp, "delete_party", Id=id)
        return {}

    def _department(self, corp: Corp, id: int) -> Department:
        if id not in corp.departments:
            raise Refused(60003)
        return corp.departments[id]

    @act(id=Whole(1), name=Text(32, default=""), add=Many(ID, default=()), remove=Many(ID, default=()))
    def tag_members(self, corp: Corp, *, id: int, name: str, add: list[str], remove: list[str]) -> Told:
        tag = corp.member_tags.setdefault(id, {"name": name or str(id), "userids": []})
        tag["userids"] = [one for one in dict.fromkeys([*tag["userids"], *add]) if one not in remove]
        items = {"AddUserItems": ",".join(add), "DelUserItems": ",".join(remove)}
        self._tell_of_address_book(corp, "update_tag", TagId=id, **items, AddPartyItems="", DelPartyItems="")
        return {}

    # ── The administrator: tags of customers ─────────────────────────────────────────────────────────────────────────
    @act(group_name=Text(30, default=""), group_id=MAYBE, names=Many(Text(30, least=1), least=1))
    def create_tags(self, corp: Corp, *, group_name: str, group_id: str, names: list[str]) -> Told:
        """A group with n tags is n + 1 events of one second."""
        before = set(corp.tag_groups)
        rows = [{"name": name, "order": 0} for name in names]
        group, made = tags.add_tags(
            self._world, corp, group_id=group_id, group_name=group_name, order=0, tags=rows, app=0
        )
        if group.id not in before:
            self._tell_of_tag(corp, "create", group.id, "tag_group")
        for tag in made:
            self._tell_of_tag(corp, "create", tag.id, "tag")
        return {"group_id": group.id, "tag_ids": [tag.id for tag in made]}

    @act(id=ID, name=Text(30, least=1))
    def rename_tag(self, corp: Corp, *, id: str, name: str) -> Told:
        siblings, found = tags.find(corp, id)
        tags.rename(siblings, found, name=name, order=None)
        self._tell_of_tag(corp, "update", id, "tag_group" if id in corp.tag_groups else "tag")
        return {}

    @act(id=ID)
    def delete_tag(self, corp: Corp, *, id: str) -> Told:
        tags.find(corp, id)
        kind = "tag_group" if id in corp.tag_groups else "tag"
        tags.remove(corp, [id])
        self._tell_of_tag(corp, "delete", id, kind)
        return {}

    @act(group_id=MAYBE)
    def shuffle_tags(self, corp: Corp, *, group_id: str) -> Told:
        """The order of tags (of groups, without an id) is changed."""
        groups = [corp.tag_groups[group_id]] if group_id in corp.tag_groups else [*corp.tag_groups.values()]
        siblings: list[Any] = groups[0].tags if group_id and groups else groups
        for place, one in enumerate(siblings):
            one.order = len(siblings) - place
        self._tell(corp, "tags", "change_external_tag", {"Id": group_id, "ChangeType": "shuffle"})
        return {}
