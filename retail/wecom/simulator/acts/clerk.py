"""What a clerk presses: group messages, moments, cards of apps, and who signs in."""

from calendar import monthrange
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from retail.wecom.simulator.acts.telling import ID, MAYBE, Telling, Told, act
from retail.wecom.simulator.api.messages import card_code
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.shapes import Flag, Many, Shape, Text, Whole
from retail.wecom.simulator.world import Corp, Line, Ticket

CODE_SECONDS = 300
CHINA = timezone(timedelta(hours=8))
NOT_FRIEND, CAPPED = 2, 3


class Clerk(Telling):
    @act(userid=ID, msgid=ID, only=Many(Text(64), default=None))
    def send_group_message(self, corp: Corp, *, userid: str, msgid: str, only: list[str] | None) -> Told:
        """The clerk presses the button of a group message. Who is beyond the cap, or no friend, gets nothing."""
        sending = corp.sendings.get(msgid)
        if sending is None or userid not in sending.parts or userid in sending.sent_at or sending.is_cancelled:
            raise Refused(41093)
        sending.sent_at[userid] = self._stamp
        content = {name: sending.content[name] for name in ("text", "attachments")}
        since, most = self._cap()
        recent = (one for one in corp.lines if one.via == "group_send" and one.at >= since)
        had = Counter(one.chat.partition("|")[2] for one in recent)
        for who, outcome in sending.parts[userid].items():
            if only is None or who in only:
                outcome[:] = [self._sent(corp, userid, who, content, is_capped=had[who] >= most), self._stamp]
        return {"results": {who: outcome[0] for who, outcome in sending.parts[userid].items()}}

    def _sent(self, corp: Corp, userid: str, who: str, content: Told, *, is_capped: bool) -> int:
        if who in corp.chats:
            corp.lines.append(Line(self._now, who, userid, "message", content, via="group_send"))
            return 1
        follow = corp.follows.get((userid, who))
        if follow is None or follow.is_lost:
            return NOT_FRIEND
        if is_capped:
            return CAPPED
        self._say(corp, follow, userid, content, via="group_send")
        return 1

    def _cap(self) -> tuple[float, int]:
        """Since when, and how many."""
        today = datetime.fromtimestamp(self._now, UTC).astimezone(CHINA).replace(hour=0, minute=0, second=0)
        starts = {
            "day": (today, 1),
            "week": (today - timedelta(days=today.weekday()), 7),
            "month": (today.replace(day=1), monthrange(today.year, today.month)[1]),
        }
        start, most = starts[self._world.settings.group_send_cap]
        return start.replace(microsecond=0).timestamp(), most

    @act(userid=ID, moment_id=ID)
    def publish_moment(self, corp: Corp, *, userid: str, moment_id: str) -> Told:
        moment = corp.moments.get(moment_id)
        if moment is None or userid not in moment.parts:
            raise Refused(40058, "no such moment for this member")
        moment.published_at.setdefault(userid, self._stamp)
        return {}

    @act(userid=ID, moment_id=ID, external_userid=ID, kind=Text(one_of=("comment", "like"), default="like"))
    def answer_moment(self, corp: Corp, *, userid: str, moment_id: str, external_userid: str, kind: str) -> Told:
        moment = corp.moments.get(moment_id)
        if moment is None or userid not in moment.published_at:
            raise Refused(40058, "the moment is not published by this member")
        said = {"clerk": userid, "external_userid": external_userid, "kind": kind, "at": self._stamp}
        moment.comments.append(said)
        return {}

    # ── The app on the clerk's phone ─────────────────────────────────────────────────────────────────────────────────
    @act(userid=ID, msgid=ID, key=Text(1024, least=1), selected=Shape(default=None), is_menu=Flag(default=False))
    def press_card(self, corp: Corp, *, userid: str, msgid: str, key: str, selected: Any, is_menu: bool) -> Told:
        """A button of a template card. `selected`: {question_key: [option_id]}."""
        notes = [one for one in corp.notes if (one.msgid, one.userid) == (msgid, userid)]
        card = notes[-1].content.get("template_card") if notes else None
        if card is None or "replaced" in card:
            raise Refused(40058, "no such card, or it is done")
        app = corp.app(notes[-1].app)
        fields = {
            "Event": "template_card_menu_event" if is_menu else "template_card_event",
            "EventKey": key,
            "TaskId": card.get("task_id", ""),
            "CardType": card["card_type"],
            "ResponseCode": card_code(self._world, corp, app.agent_id, msgid),
        }
        if selected:
            items = [{"QuestionKey": name, "OptionIds": {"OptionId": ids}} for name, ids in selected.items()]
            fields["SelectedItems"] = {"SelectedItem": items}
        self._callbacks.emit(corp, app, fields | {"AgentID": app.agent_id}, by=userid)
        return {"response_code": fields["ResponseCode"]}

    @act(
        userid=ID,
        agent_id=Whole(),
        event=Text(one_of=("enter_agent", "click", "view", "subscribe", "unsubscribe", "LOCATION")),
        key=Text(1024, default=""),
    )
    def use_app(self, corp: Corp, *, userid: str, agent_id: int, event: str, key: str) -> Told:
        """The member opens the app, or one of its menus."""
        where = {"Latitude": "23.104", "Longitude": "113.320", "Precision": "65.000", "AppType": "wxwork"}
        fields: Told = where if event == "LOCATION" else {}
        if event in ("enter_agent", "click", "view"):
            fields = {"EventKey": key}
        app = corp.app(agent_id)
        fields = {"Event": event, **fields, "AgentID": agent_id}
        self._callbacks.emit(corp, app, fields, by=corp.member(userid).userid)
        return {"url": app.home_url}

    @act(
        userid=MAYBE,
        external_userid=MAYBE,
        agent_id=Whole(),
        scope=Text(one_of=("snsapi_base", "snsapi_privateinfo"), default="snsapi_base"),
    )
    def sign_in(self, corp: Corp, *, userid: str, external_userid: str, agent_id: int, scope: str) -> Told:
        """A code for whoever opens the page of an app: good once, for five minutes."""
        ticket = Ticket(self._world.fresh_id("", 43), agent_id, self._now + CODE_SECONDS)
        ticket.of = {"kind": "code", "scope": scope}
        if userid:
            ticket.of["userid"] = corp.member(userid).userid
        else:
            ticket.of["openid"] = self._world.fresh_id("o", 28)
            if corp.followers_of(external_userid):
                ticket.of["external_userid"] = external_userid
        self._world.codes[ticket.value] = (corp.corp_id, ticket)
        return {"code": ticket.value}
