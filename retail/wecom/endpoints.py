"""The interfaces of WeCom that the house uses, one method each, named after the vendor's path.

Arguments and answers are the vendor's own words; an answer is its dict without errcode and errmsg, or the one list
that it holds. Methods that take `cursor` answer one page, with `next_cursor`; `pages` walks over all of them.
Identifiers are case-sensitive and opaque.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Answer = dict[str, Any]
Files = Mapping[str, tuple[str, bytes]]
MOST_PAGES = 10_000


class Endpoints:
    app: Any

    def call(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        body: Any = None,
        files: Files | None = None,
    ) -> Answer:
        raise NotImplementedError

    def spare(self, *, path: str, member: str) -> None:
        raise NotImplementedError

    def _get(self, path: str, **params: Any) -> Answer:
        given = {name: value for name, value in params.items() if value not in (None, "")}
        return _bare(self.call("GET", path, params=given))

    def _post(self, path: str, **body: Any) -> Answer:
        given = {name: value for name, value in body.items() if value is not None}
        return _bare(self.call("POST", path, body=given))

    def pages(self, method: Callable[..., Answer], **arguments: Any) -> Iterator[Answer]:
        """Every page of a method that takes `cursor`. Ends where the vendor repeats one, rather than never."""
        cursor, seen = "", set()
        for _page in range(MOST_PAGES):
            page = method(**arguments, cursor=cursor)
            yield page
            cursor = page.get("next_cursor") or ""
            if not cursor or cursor in seen:
                return
            seen.add(cursor)

    # ── Staff and departments ────────────────────────────────────────────────────────────────────────────────────────
    def get_user(self, *, userid: str) -> Answer:
        return self._get("user/get", userid=userid)

    def list_user_ids(self, *, cursor: str = "", limit: int = 10_000) -> Answer:
        """dept_user: [{userid, department}], a row for each department a person is in. Contact-sync secret only."""
        return self._post("user/list_id", cursor=cursor, limit=limit)

    def list_users(self, *, department_id: int, fetch_child: bool = False) -> list[Answer]:
        return self._get("user/list", department_id=department_id, fetch_child=int(fetch_child)).get("userlist", [])

    def list_departments(self) -> list[Answer]:
        """[{id, name, parentid, order}]"""
        return self._get("department/list").get("department", [])

    def tag_members(self, *, tag_id: int) -> Answer:
        return self._get("tag/get", tagid=tag_id)

    # ── Customers ────────────────────────────────────────────────────────────────────────────────────────────────────
    def follow_users(self) -> list[str]:
        """The members who may have customers, as far as the application sees them."""
        return self._get("externalcontact/get_follow_user_list").get("follow_user", [])

    def contact_ids(self, *, userid: str) -> list[str]:
        """A member's customers. Raises Rejected 84061 where there are none."""
        return self._get("externalcontact/list", userid=userid).get("external_userid", [])

    def contact(self, *, external_userid: str) -> Answer:
        """{external_contact: {…}, follow_user: [{userid, remark, createtime, tags: [{tag_id}], state, …}]}, whole."""
        pages = list(self.pages(self._contact_page, external_userid=external_userid))
        followers = [one for page in pages for one in page.get("follow_user", [])]
        return {"external_contact": pages[0].get("external_contact", {}), "follow_user": followers}

    def _contact_page(self, *, external_userid: str, cursor: str) -> Answer:
        return self._get("externalcontact/get", external_userid=external_userid, cursor=cursor)

    def contacts_of(self, *, userids: Sequence[str], cursor: str = "", limit: int = 100) -> Answer:
        """external_contact_list: [{external_contact, follow_info: {userid, tag_id: […]}}], of at most 100 members."""
        return self._post("externalcontact/batch/get_by_user", userid_list=list(userids), cursor=cursor, limit=limit)

    def remark(self, *, userid: str, external_userid: str, **fields: Any) -> None:
        """fields: remark (20), description (150), remark_company, remark_mobiles, remark_pic_mediaid."""
        self._post("externalcontact/remark", userid=userid, external_userid=external_userid, **fields)

    # ── Codes to scan ────────────────────────────────────────────────────────────────────────────────────────────────
    def add_contact_way(self, *, type: int, scene: int, **fields: Any) -> Answer:
        """{config_id, qr_code}. fields: user, party, state (30), remark (30), skip_verify, is_temp, …"""
        return self._post("externalcontact/add_contact_way", type=type, scene=scene, **fields)

    def get_contact_way(self, *, config_id: str) -> Answer:
        return self._post("externalcontact/get_contact_way", config_id=config_id).get("contact_way", {})

    def list_contact_ways(self, *, cursor: str = "", limit: int = 1000, **fields: Any) -> Answer:
        """contact_way: [{config_id}]; fields: start_time, end_time in seconds, the last 90 days by default."""
        return self._post("externalcontact/list_contact_way", cursor=cursor, limit=limit, **fields)

    def update_contact_way(self, *, config_id: str, **fields: Any) -> None:
        self._post("externalcontact/update_contact_way", config_id=config_id, **fields)

    def delete_contact_way(self, *, config_id: str) -> None:
        self._post("externalcontact/del_contact_way", config_id=config_id)

    # ── Said to customers ────────────────────────────────────────────────────────────────────────────────────────────
    def send_welcome(self, *, code: str, text: str = "", attachments: Sequence[Answer] = ()) -> None:
        """Within 20 s of the event, once. Raises Rejected 41050 (too late), 41051 (was sent), Busy 41096 (a race)."""
        said = {"text": {"content": text}} if text else {}
        self._post("externalcontact/send_welcome_msg", welcome_code=code, attachments=list(attachments), **said)

    def add_msg_template(self, **fields: Any) -> Answer:
        """{msgid, fail_list}: a task that the member has to confirm. fields as the vendor names them."""
        return self._post("externalcontact/add_msg_template", **fields)

    def list_groupmsgs(self, *, cursor: str = "", **fields: Any) -> Answer:
        """group_msg_list: [{msgid, create_time, …}]. fields: chat_type, start_time, end_time, creator, filter_type."""
        return self._post("externalcontact/get_groupmsg_list_v2", cursor=cursor, **fields)

    def groupmsg_task(self, *, msgid: str, cursor: str = "", limit: int = 1000) -> Answer:
        """task_list: [{userid, status 0 not sent | 2 sent, send_time}]"""
        return self._post("externalcontact/get_groupmsg_task", msgid=msgid, cursor=cursor, limit=limit)

    def groupmsg_send_result(self, *, msgid: str, userid: str, cursor: str = "", limit: int = 1000) -> Answer:
        """send_list: [{external_userid, chat_id, userid, status 0 | 1 sent | 2 no friend | 3 capped, send_time}]"""
        return self._post(
            "externalcontact/get_groupmsg_send_result", msgid=msgid, userid=userid, cursor=cursor, limit=limit
        )

    def remind_groupmsg(self, *, msgid: str) -> None:
        """Three times in 24 hours."""
        self._post("externalcontact/remind_groupmsg_send", msgid=msgid)

    def cancel_groupmsg(self, *, msgid: str) -> None:
        self._post("externalcontact/cancel_groupmsg_send", msgid=msgid)

    # ── Handed over ──────────────────────────────────────────────────────────────────────────────────────────────────
    def transfer_customer(
        self, *, handover_userid: str, takeover_userid: str, external_userid: Sequence[str], message: str | None = None
    ) -> list[Answer]:
        """[{external_userid, errcode}], of at most 100; 0 = begun, done after 24 hours unless the customer refuses."""
        return self._post(
            "externalcontact/transfer_customer",
            handover_userid=handover_userid,
            takeover_userid=takeover_userid,
            external_userid=list(external_userid),
            transfer_success_msg=message,
        ).get("customer", [])

    def transfer_result(self, *, handover_userid: str, takeover_userid: str, cursor: str = "") -> Answer:
        """customer: [{external_userid, status 1 done | 2 waits | 3 refused | 4 limit | 5 none, takeover_time}]"""
        return self._post(
            "externalcontact/transfer_result",
            handover_userid=handover_userid,
            takeover_userid=takeover_userid,
            cursor=cursor,
        )

    def unassigned(self, *, cursor: str = "", page_size: int = 1000) -> Answer:
        """info: [{handover_userid, external_userid, dimission_time}]: customers of members who have left."""
        return self._post("externalcontact/get_unassigned_list", cursor=cursor, page_size=page_size)

    def resigned_transfer(
        self, *, handover_userid: str, takeover_userid: str, external_userid: Sequence[str]
    ) -> list[Answer]:
        return self._post(
            "externalcontact/resigned/transfer_customer",
            handover_userid=handover_userid,
            takeover_userid=takeover_userid,
            external_userid=list(external_userid),
        ).get("customer", [])

    def resigned_result(self, *, handover_userid: str, takeover_userid: str, cursor: str = "") -> Answer:
        return self._post(
            "externalcontact/resigned/transfer_result",
            handover_userid=handover_userid,
            takeover_userid=takeover_userid,
            cursor=cursor,
        )

    # ── Group chats ──────────────────────────────────────────────────────────────────────────────────────────────────
    def list_groupchats(
        self, *, cursor: str = "", limit: int = 1000, owners: Sequence[str] = (), status_filter: int = 0
    ) -> Answer:
        """group_chat_list: [{chat_id, status}]. Without `owners` not beyond 1000 members in sight (81017)."""
        filtered = {"owner_filter": {"userid_list": list(owners)}} if owners else {}
        return self._post(
            "externalcontact/groupchat/list", status_filter=status_filter, cursor=cursor, limit=limit, **filtered
        )

    def groupchat(self, *, chat_id: str, need_name: bool = True) -> Answer:
        """{chat_id, name, owner, create_time, notice, member_list: [...], admin_list, member_version}"""
        return self._post("externalcontact/groupchat/get", chat_id=chat_id, need_name=int(need_name)).get(
            "group_chat", {}
        )

    def groupchat_transfer(self, *, chat_ids: Sequence[str], new_owner: str, is_resigned: bool = True) -> list[Answer]:
        """The chats that could not be given to the new owner: [{chat_id, errcode, errmsg}]"""
        path = "externalcontact/groupchat/transfer" if is_resigned else "externalcontact/groupchat/onjob_transfer"
        return self._post(path, chat_id_list=list(chat_ids), new_owner=new_owner).get("failed_chat_list", [])

    # ── Tags ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    def corp_tags(self, *, tag_id: Sequence[str] = (), group_id: Sequence[str] = ()) -> list[Answer]:
        """[{group_id, group_name, create_time, order, tag: [{id, name, create_time, order}]}]"""
        asked = {"tag_id": list(tag_id) or None, "group_id": list(group_id) or None}
        return self._post("externalcontact/get_corp_tag_list", **asked).get("tag_group", [])

    def add_corp_tag(self, *, tag: Sequence[Answer], **fields: Any) -> Answer:
        """tag: [{name, order}]; fields: group_id or group_name, order. The group with its new tags."""
        return self._post("externalcontact/add_corp_tag", tag=list(tag), **fields).get("tag_group", {})

    def edit_corp_tag(self, *, id: str, **fields: Any) -> None:
        """Only what this application has made (301002)."""
        self._post("externalcontact/edit_corp_tag", id=id, **fields)

    def delete_corp_tag(self, *, tag_id: Sequence[str] = (), group_id: Sequence[str] = ()) -> None:
        asked = {"tag_id": list(tag_id) or None, "group_id": list(group_id) or None}
        self._post("externalcontact/del_corp_tag", **asked)

    def mark_tag(
        self, *, userid: str, external_userid: str, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> None:
        self._post(
            "externalcontact/mark_tag",
            userid=userid,
            external_userid=external_userid,
            add_tag=list(add) or None,
            remove_tag=list(remove) or None,
        )

    # ── Said to staff ────────────────────────────────────────────────────────────────────────────────────────────────
    def send_message(self, *, touser: Sequence[str], msgtype: str, **fields: Any) -> Answer:
        """{msgid, invaliduser, response_code?}. fields: the body named like msgtype, enable_duplicate_check, …"""
        return self._post(
            "message/send", touser="|".join(touser), msgtype=msgtype, agentid=self.app.agent_id, **fields
        )

    def update_template_card(self, *, response_code: str, **fields: Any) -> Answer:
        """Once for each response code, within 72 hours."""
        return self._post(
            "message/update_template_card", response_code=response_code, agentid=self.app.agent_id, **fields
        )

    # ── Files ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def upload_media(self, *, type: str, filename: str, content: bytes) -> Answer:
        """{media_id, created_at}, good for three days. type: image, voice, video, file."""
        files = {"media": (filename, content)}
        return _bare(self.call("POST", "media/upload", params={"type": type}, files=files))

    def upload_attachment(self, *, media_type: str, attachment_type: int, filename: str, content: bytes) -> Answer:
        """As upload_media, for moments (attachment_type 1) and albums (2)."""
        params = {"media_type": media_type, "attachment_type": attachment_type}
        return _bare(self.call("POST", "media/upload_attachment", params=params, files={"media": (filename, content)}))

    # ── Sign-in ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def user_of_code(self, *, code: str) -> Answer:
        """{userid} of a member, {openid, external_userid?} of anybody else. Raises Rejected 40029."""
        return self._get("auth/getuserinfo", code=code)

    def user_detail(self, *, user_ticket: str) -> Answer:
        return self._post("auth/getuserdetail", user_ticket=user_ticket)

    # ── Moments and figures ──────────────────────────────────────────────────────────────────────────────────────────
    def add_moment_task(self, **fields: Any) -> str:
        """The jobid by which `moment_task_result` tells the outcome, for 24 hours."""
        return self._post("externalcontact/add_moment_task", **fields).get("jobid", "")

    def moment_task_result(self, *, jobid: str) -> Answer:
        return self._get("externalcontact/get_moment_task_result", jobid=jobid)

    def moments(self, *, start_time: int, end_time: int, cursor: str = "", **fields: Any) -> Answer:
        """moment_list of at most 30 days."""
        return self._post(
            "externalcontact/get_moment_list", start_time=start_time, end_time=end_time, cursor=cursor, **fields
        )

    def moment_task(self, *, moment_id: str, cursor: str = "", limit: int = 1000) -> Answer:
        return self._post("externalcontact/get_moment_task", moment_id=moment_id, cursor=cursor, limit=limit)

    def moment_customers(self, *, moment_id: str, userid: str, cursor: str = "", limit: int = 1000) -> Answer:
        return self._post(
            "externalcontact/get_moment_customer_list", moment_id=moment_id, userid=userid, cursor=cursor, limit=limit
        )

    def moment_send_result(self, *, moment_id: str, userid: str, cursor: str = "", limit: int = 3000) -> Answer:
        return self._post(
            "externalcontact/get_moment_send_result", moment_id=moment_id, userid=userid, cursor=cursor, limit=limit
        )

    def moment_comments(self, *, moment_id: str, userid: str) -> Answer:
        return self._post("externalcontact/get_moment_comments", moment_id=moment_id, userid=userid)

    def behavior_data(
        self, *, start_time: int, end_time: int, userid: Sequence[str] = (), partyid: Sequence[int] = ()
    ) -> list[Answer]:
        """[{stat_time, chat_cnt, message_cnt, new_contact_cnt, …}] by day, added up over the members asked for."""
        asked = {"userid": list(userid) or None, "partyid": list(partyid) or None}
        return self._post(
            "externalcontact/get_user_behavior_data", start_time=start_time, end_time=end_time, **asked
        ).get("behavior_data", [])


def _bare(answer: Answer) -> Answer:
    return {name: value for name, value in answer.items() if name not in ("errcode", "errmsg")}
