"""Customers and clerks: meeting, talking, parting, and being handed over."""

import functools

from retail.wecom.simulator.acts.telling import ID, MAYBE, Telling, Told, act
from retail.wecom.simulator.api import customers
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.shapes import Flag, Many, Text, Whole
from retail.wecom.simulator.world import Corp, Customer, Follow, Transfer, Way

SCANNED, BY_MEMBER, HANDED_OVER = 1, 2, 202


class Friends(Telling):
    @act(name=Text(64, least=1), type=Whole(1, 2, default=1), gender=Whole(0, 2, default=0), external_userid=MAYBE)
    def new_customer(self, corp: Corp, *, name: str, type: int, gender: int, external_userid: str) -> Told:
        """Somebody who has not met any clerk yet."""
        id = external_userid or self._world.fresh_id("wm" if type == 1 else "wo")
        unionid = self._world.fresh_id("o", 28) if type == 1 else ""
        corp.customers[id] = Customer(id, name, type, gender, unionid=unionid)
        return {"external_userid": id}

    @act(config_id=MAYBE, state=MAYBE, external_userid=MAYBE, name=Text(64, default=""), is_half=Flag(default=False))
    def scan(self, corp: Corp, *, config_id: str, state: str, external_userid: str, name: str, is_half: bool) -> Told:
        """A customer (a new one without `external_userid`) scans a code, named by its id or by its state."""
        way = self._code(corp, config_id, state)
        if not external_userid:
            external_userid = self.new_customer(
                corp, name=name or f"WeChat {len(corp.customers) + 1}", type=1, gender=0, external_userid=""
            )["external_userid"]
        corp.customer(external_userid)
        userid = self._whom(corp, way, external_userid)
        if not way.fields["skip_verify"]:
            asked = {"userid": userid, "external_userid": external_userid, "config_id": way.config_id}
            corp.requests.append(asked)
            return {"state": "asked", **asked}
        return self._befriend(corp, userid, external_userid, way=way, is_half=is_half)

    def _code(self, corp: Corp, config_id: str, state: str) -> Way:
        ways = corp.ways.values()
        found = [one for one in ways if one.config_id == config_id or (state and one.fields["state"] == state)]
        if not found:
            raise Refused(40058, "the code does not exist any more")
        way = found[-1]
        if way.fields["is_temp"] and self._now > way.created_at + way.fields["expires_in"]:
            raise Refused(40058, "the code has expired")
        return way

    def _whom(self, corp: Corp, way: Way, external_userid: str) -> str:
        """Somebody of the code; the one the customer knows already before others."""
        parties = set().union(*(corp.branch(party) for party in way.fields["party"]))
        present = {one.userid for one in corp.present() if one.is_active}
        ids = [one for one in way.fields["user"] if one in present]
        ids += [one.userid for one in corp.present() if parties & set(one.department) and one.userid not in ids]
        if not ids:
            raise Refused(41054, "nobody stands behind the code")
        known = [one for one in ids if (one, external_userid) in corp.follows]
        return known[0] if known else self._world.random.choice(ids)

    @act(userid=ID, external_userid=ID, add_way=Whole(0, 300, default=BY_MEMBER), is_half=Flag(default=False))
    def add(self, corp: Corp, *, userid: str, external_userid: str, add_way: int, is_half: bool) -> Told:
        """They become friends without a code."""
        corp.customer(external_userid)
        member = corp.member(userid)
        return self._befriend(corp, member.userid, external_userid, add_way=add_way, is_half=is_half)

    def _befriend(
        self,
        corp: Corp,
        userid: str,
        external_userid: str,
        *,
        way: Way | None = None,
        add_way: int = SCANNED,
        is_half: bool = False,
        is_silent: bool = False,
    ) -> Told:
        pair = (userid, external_userid)
        before = corp.follows.get(pair)
        told = {"userid": userid, "external_userid": external_userid}
        if before and not before.is_half and not before.is_lost:
            return {"state": "known", **told}
        by = userid if add_way == BY_MEMBER else external_userid
        follow = before or Follow(userid, external_userid, self._stamp, add_way=add_way, oper_userid=by)
        follow.created_at, follow.is_half, follow.is_lost = self._stamp, is_half, False
        if way is not None:
            follow.state, follow.config_id = way.fields["state"], way.config_id
        corp.follows[pair] = follow
        corp.once.add(pair)
        change = "add_half_external_contact" if is_half else "add_external_contact"
        self._tell_of_new_friend(corp, change, follow, is_silent=is_silent)
        return {"state": "half" if is_half else "added", **told}

    @act(userid=ID, external_userid=ID)
    def accept(self, corp: Corp, *, userid: str, external_userid: str) -> Told:
        """The clerk lets a customer in who asked; or a half friend becomes one, now without a WelcomeCode."""
        follow = corp.follows.get((userid, external_userid))
        if follow and follow.is_half:
            return self._befriend(corp, userid, external_userid, is_silent=True)
        asked = [one for one in corp.requests if (one["userid"], one["external_userid"]) == (userid, external_userid)]
        if not asked:
            raise Refused(84061)
        corp.requests = [one for one in corp.requests if one not in asked]
        return self._befriend(corp, userid, external_userid, way=corp.ways.get(asked[-1]["config_id"]))

    @act(userid=ID, external_userid=ID)
    def block(self, corp: Corp, *, userid: str, external_userid: str) -> Told:
        """The customer deletes the clerk; the clerk's side of it stays."""
        follow = corp.follow(userid, external_userid)
        follow.is_lost = True
        corp.losses.append((self._now, userid))
        self._tell_of_customer(corp, "del_follow_user", follow)
        return {}

    @act(userid=ID, external_userid=ID)
    def delete(self, corp: Corp, *, userid: str, external_userid: str) -> Told:
        """The clerk deletes the customer."""
        follow = corp.follow(userid, external_userid)
        del corp.follows[userid, external_userid]
        self._tell_of_customer(corp, "del_external_contact", follow)
        return {}

    @act(
        userid=ID,
        external_userid=ID,
        remark=Text(20, default=None),
        description=Text(150, default=None),
        mobiles=Many(Text(32), default=None),
        tags=Many(ID, default=None),
    )
    def edit(
        self,
        corp: Corp,
        *,
        userid: str,
        external_userid: str,
        remark: str | None,
        description: str | None,
        mobiles: list[str] | None,
        tags: list[str] | None,
    ) -> Told:
        """The clerk notes something about the customer. A telephone number alone is told to nobody."""
        follow = corp.follow(userid, external_userid)
        customers.note(follow, remark=remark, description=description, remark_mobiles=mobiles)
        follow.tags = follow.tags if tags is None else tags
        if remark is not None or description is not None or tags is not None:
            state = {"State": follow.state} if follow.state else {}
            self._tell_of_customer(corp, "edit_external_contact", follow, **state)
        return {}

    @act(userid=ID, external_userid=ID, text=Text(4000, least=1), by=Text(one_of=("clerk", "customer")))
    def chat(self, corp: Corp, *, userid: str, external_userid: str, text: str, by: str) -> Told:
        """Words between the two; nobody is called back about them."""
        follow = corp.follow(userid, external_userid)
        if follow.is_lost:
            raise Refused(84061, "the customer has deleted the clerk")
        self._say(corp, follow, userid if by == "clerk" else external_userid, {"text": {"content": text}})
        return {}

    @act(userid=ID, external_userid=ID)
    def approve_audit(self, corp: Corp, *, userid: str, external_userid: str) -> Told:
        """The customer agrees that the chat is archived."""
        self._tell_of_new_friend(corp, "msg_audit_approved", corp.follow(userid, external_userid), is_silent=False)
        return {}

    # ── Hand-over ────────────────────────────────────────────────────────────────────────────────────────────────────
    def complete_later(self, corp: Corp, transfer: Transfer) -> None:
        due = transfer.started_at + self._world.settings.transfer_seconds
        self._world.at(due, functools.partial(self._complete, corp, transfer))

    @act(external_userid=ID)
    def take_over_now(self, corp: Corp, *, external_userid: str) -> Told:
        """The customer agrees before the day is over."""
        self._complete(corp, self._waiting(corp, external_userid))
        return {}

    @act(external_userid=ID)
    def refuse(self, corp: Corp, *, external_userid: str) -> Told:
        self._fail(corp, self._waiting(corp, external_userid), 3, "customer_refused")
        return {}

    def _waiting(self, corp: Corp, external_userid: str) -> Transfer:
        found = [one for one in corp.transfers if one.external_userid == external_userid and one.status == 2]
        if not found:
            raise Refused(40058, "no hand-over is under way")
        return found[-1]

    def _fail(self, corp: Corp, transfer: Transfer, status: int, reason: str) -> None:
        transfer.status, transfer.ended_at = status, self._now
        fields = {"ChangeType": "transfer_fail", "FailReason": reason, "UserID": transfer.takeover}
        fields["ExternalUserID"] = transfer.external_userid
        self._tell(corp, "customers", "change_external_contact", fields)

    def _complete(self, corp: Corp, transfer: Transfer) -> None:
        takeover = corp.members.get(transfer.takeover)
        if transfer.status != 2:
            return
        if takeover is None or len(corp.follows_of(takeover.userid)) >= takeover.customer_limit:
            self._fail(corp, transfer, 4, "customer_limit_exceed")
            return
        transfer.status, transfer.ended_at = 1, self._now
        old = corp.follows.pop((transfer.handover, transfer.external_userid), None)
        corp.unassigned.pop((transfer.handover, transfer.external_userid), None)
        if old is not None and not transfer.is_resigned:
            self._tell_of_customer(corp, "del_external_contact", old, Source="DELETE_BY_TRANSFER")
        self._take_over(corp, transfer, old)

    def _take_over(self, corp: Corp, transfer: Transfer, old: Follow | None) -> None:
        """The new relation; whoever has been a friend before is taken up again without an event."""
        pair = (transfer.takeover, transfer.external_userid)
        was_friend = pair in corp.once
        if pair not in corp.follows:
            corp.follows[pair] = Follow(*pair, self._stamp, add_way=HANDED_OVER, oper_userid=transfer.takeover)
        follow = corp.follows[pair]
        if old is not None:
            follow.remark, follow.description = follow.remark or old.remark, follow.description or old.description
        corp.once.add(pair)
        if not was_friend:
            self._tell_of_new_friend(corp, "add_external_contact", follow, is_silent=True)
        if transfer.said:
            self._say(corp, follow, transfer.takeover, {"text": {"content": transfer.said}}, via="transfer")
