"""Group chats: made, joined, left, renamed, dismissed."""

from typing import Any

from retail.wecom.simulator.acts.telling import ID, MAYBE, Telling, Told, act
from retail.wecom.simulator.shapes import Many, Text
from retail.wecom.simulator.world import Chat, Corp


class Chats(Telling):
    @act(owner=ID, name=Text(64, default=""), members=Many(ID, default=()))
    def create_chat(self, corp: Corp, *, owner: str, name: str, members: list[str]) -> Told:
        chat = Chat(self._world.fresh_id("wr"), name, corp.member(owner).userid, self._stamp)
        corp.chats[chat.chat_id] = chat
        for one in [chat.owner, *members]:
            self._join(corp, chat, one, by=chat.owner)
        chat.member_version = self._world.random.randbytes(16).hex()
        self._tell_of_chat(corp, "create", chat)
        return {"chat_id": chat.chat_id}

    def _join(self, corp: Corp, chat: Chat, who: str, *, by: str = "") -> None:
        if who not in corp.members:
            corp.customer(who)
        is_member = who in corp.members
        facts = {"type": 1 if is_member else 2, "join_time": self._stamp, "join_scene": 1 if by else 3}
        chat.members[who] = facts | ({"invitor": {"userid": by}} if by else {}) | {"group_nickname": ""}

    @act(chat_id=ID, members=Many(ID, least=1))
    def join_chat(self, corp: Corp, *, chat_id: str, members: list[str]) -> Told:
        chat = corp.chat(chat_id)
        for one in members:
            self._join(corp, chat, one)
        self._tell_of_members(corp, chat, members, UpdateDetail="add_member", JoinScene=3)
        return {}

    @act(chat_id=ID, members=Many(ID, least=1))
    def leave_chat(self, corp: Corp, *, chat_id: str, members: list[str]) -> Told:
        chat = corp.chat(chat_id)
        gone = [one for one in members if chat.members.pop(one, None)]
        self._tell_of_members(corp, chat, gone, UpdateDetail="del_member", QuitScene=0)
        return {}

    def _tell_of_members(self, corp: Corp, chat: Chat, members: list[str], **detail: Any) -> None:
        last, chat.member_version = chat.member_version, self._world.random.randbytes(16).hex()
        changed = {"MemChangeCnt": len(members), "MemChangeList": {"Item": members}}
        versions = {"LastMemVer": last, "CurMemVer": chat.member_version}
        self._tell_of_chat(corp, "update", chat, **detail, **changed, **versions)

    @act(chat_id=ID, name=Text(64, default=None), notice=Text(2000, default=None), owner=MAYBE)
    def change_chat(self, corp: Corp, *, chat_id: str, name: str | None, notice: str | None, owner: str) -> Told:
        chat = corp.chat(chat_id)
        if name is not None:
            chat.name = name
            self._tell_of_chat(corp, "update", chat, UpdateDetail="change_name")
        if notice is not None:
            chat.notice = notice
            self._tell_of_chat(corp, "update", chat, UpdateDetail="change_notice")
        if owner:
            chat.owner = corp.member(owner).userid
            self._tell_of_chat(corp, "update", chat, UpdateDetail="change_owner")
        return {}

    @act(chat_id=ID)
    def dismiss_chat(self, corp: Corp, *, chat_id: str) -> Told:
        chat = corp.chat(chat_id)
        chat.dismissed_at = self._now
        self._tell_of_chat(corp, "dismiss", chat)
        return {}
