"""What all acts share: their table, and how the apps are told of one."""

from collections.abc import Callable
from typing import Any

from retail.wecom.simulator.callbacks import Callbacks
from retail.wecom.simulator.shapes import Shape, Text
from retail.wecom.simulator.world import Chat, Corp, Follow, Greeting, Line, World

ID, MAYBE = Text(64, least=1), Text(64, default="")

Told = dict[str, Any]
ACTS: dict[str, tuple[Callable[..., Told], dict[str, Shape]]] = {}


def act(**shapes: Shape) -> Callable[[Callable[..., Told]], Callable[..., Told]]:
    """Put a method into the table under its name, with the shapes of its parameters."""

    def listed(run: Callable[..., Told]) -> Callable[..., Told]:
        ACTS[run.__name__] = (run, shapes)
        return run

    return listed


class Telling:
    def __init__(self, *, world: World, callbacks: Callbacks) -> None:
        self._world = world
        self._callbacks = callbacks

    @property
    def _now(self) -> float:
        return self._world.clock.now()

    @property
    def _stamp(self) -> int:
        return self._world.clock.stamp()

    def _tell(self, corp: Corp, scope: str, event: str, fields: Told) -> None:
        for app in corp.apps.values():
            if app.may(scope):
                self._callbacks.emit(corp, app, {"Event": event, **fields})

    def _tell_of_customer(self, corp: Corp, change: str, follow: Follow, **more: Any) -> None:
        fields = {"ChangeType": change, "UserID": follow.userid, "ExternalUserID": follow.external_userid}
        self._tell(corp, "customers", "change_external_contact", fields | more)

    def _tell_of_chat(self, corp: Corp, change: str, chat: Chat, **more: Any) -> None:
        fields = {"ChatId": chat.chat_id, "ChangeType": change}
        self._tell(corp, "chats", "change_external_chat", fields | more)

    def _tell_of_tag(self, corp: Corp, change: str, id: str, kind: str) -> None:
        fields = {"Id": id, "TagType": kind, "ChangeType": change}
        self._tell(corp, "tags", "change_external_tag", fields)

    def _tell_of_address_book(self, corp: Corp, change: str, **fields: Any) -> None:
        self._tell(corp, "contacts", "change_contact", {"ChangeType": change, **fields})

    def _tell_of_new_friend(self, corp: Corp, change: str, follow: Follow, *, is_silent: bool) -> None:
        """With a WelcomeCode for each app, where the customer may be welcomed by one."""
        member, customer = corp.members[follow.userid], corp.customers[follow.external_userid]
        greeting = None
        if not (is_silent or member.welcome or customer.type == 2):
            until = self._now + self._world.settings.welcome_seconds
            greeting = Greeting(follow.userid, follow.external_userid, until)
        for app in corp.apps.values():
            if not app.may("customers"):
                continue
            fields = {"ChangeType": change, "UserID": follow.userid, "ExternalUserID": follow.external_userid}
            fields |= {"State": follow.state} if follow.state else {}
            if greeting is not None:
                code = self._world.fresh_id("CALLBACK", 40)
                corp.greetings[code] = (app.agent_id, greeting)
                fields["WelcomeCode"] = code
            self._callbacks.emit(corp, app, {"Event": "change_external_contact", **fields})
        if member.welcome and not is_silent:
            content = {"text": {"content": member.welcome}, "attachments": []}
            self._say(corp, follow, member.userid, content, via="welcome")

    def _say(self, corp: Corp, follow: Follow, by: str, content: Told, *, via: str = "") -> None:
        kind = "message" if "text" in content else "card"
        corp.lines.append(Line(self._now, f"{follow.userid}|{follow.external_userid}", by, kind, content, via=via))
