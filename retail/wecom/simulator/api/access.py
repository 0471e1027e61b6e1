"""Tokens, tickets, and who stands behind a sign-in code."""

import hmac
from typing import Any

from retail.wecom.simulator.api import Call, endpoint, public
from retail.wecom.simulator.refusals import Refused
from retail.wecom.simulator.shapes import Text
from retail.wecom.simulator.world import App, Corp, Ticket

CODE_SECONDS, USER_TICKET_SECONDS = 300, 1800


@public("GET", "gettoken", corpid=Text(default=""), corpsecret=Text(default=""))
def get_token(call: Call, *, corpid: str, corpsecret: str) -> dict[str, Any]:
    """The same token as long as it is good for another while; each app has its own."""
    world = call.world
    if not corpsecret:
        raise Refused(41004)
    corp = world.corp(corpid)
    app = _app_of_secret(corp, corpsecret)
    good = [one for known, one in world.tokens.values() if known == corpid and one.app == app.agent_id]
    token = next((one for one in good if one.until > call.now), None)
    if token is None:
        token = Ticket(world.fresh_id("", 214), app.agent_id, call.now + world.settings.token_seconds)
        world.tokens[token.value] = (corpid, token)
    return {"access_token": token.value, "expires_in": max(1, round(token.until - call.now))}


def _app_of_secret(corp: Corp, secret: str) -> App:
    for app in corp.apps.values():
        if hmac.compare_digest(app.secret.encode(), secret.encode()):
            if not app.is_enabled:
                raise Refused(50003)
            return app
        if secret in app.old_secrets:
            raise Refused(40091)
    raise Refused(40001)


@endpoint("GET", "get_jsapi_ticket", "jssdk")
def get_jsapi_ticket(call: Call) -> dict[str, Any]:
    return _ticket(call, "corp_ticket")


@endpoint("GET", "ticket/get", "jssdk", type=Text(one_of=("agent_config",)))
def get_ticket(call: Call, *, type: str) -> dict[str, Any]:
    return _ticket(call, "agent_ticket")


def _ticket(call: Call, kind: str) -> dict[str, Any]:
    key = (call.corp.corp_id, call.app.agent_id, kind)
    ticket = call.world.tickets.get(key)
    if ticket is None or ticket.until <= call.now:
        until = call.now + call.world.settings.token_seconds
        ticket = call.world.tickets[key] = Ticket(call.world.fresh_id("", 86), call.app.agent_id, until)
    return {"ticket": ticket.value, "expires_in": max(1, round(ticket.until - call.now))}


def signed_in(call: Call, code: str) -> dict[str, Any]:
    """Who a sign-in code stands for: {"userid"} or {"openid", "external_userid"?}. It is good once."""
    corp_id, ticket = call.world.codes.get(code, ("", Ticket("", 0, 0)))
    is_good = corp_id == call.corp.corp_id and ticket.app in (0, call.app.agent_id) and call.now < ticket.until
    if not is_good or ticket.is_used or ticket.of.get("kind") != "code":
        raise Refused(40029)
    ticket.is_used = True
    return ticket.of


@endpoint("GET", "auth/getuserinfo", "login", code=Text(code=40029))
def get_user_info(call: Call, *, code: str) -> dict[str, Any]:
    """Members outside the visible range are told too: it says who, not whether they may."""
    who = signed_in(call, code)
    if "userid" not in who:
        return {name: who[name] for name in ("openid", "external_userid") if name in who}
    if who["scope"] != "snsapi_privateinfo" or not call.corp.sees(call.app, call.corp.member(who["userid"])):
        return {"userid": who["userid"]}
    ticket = Ticket(call.world.fresh_id("", 64), call.app.agent_id, call.now + USER_TICKET_SECONDS)
    ticket.of = {"kind": "user_ticket", "userid": who["userid"]}
    call.world.codes[ticket.value] = (call.corp.corp_id, ticket)
    return {"userid": who["userid"], "user_ticket": ticket.value, "expires_in": USER_TICKET_SECONDS}


@endpoint("GET", "user/getuserinfo", "login", code=Text(code=40029))
def get_user_info_of_old(call: Call, *, code: str) -> dict[str, Any]:
    """The interface before `auth/getuserinfo`, with names of its own."""
    who = signed_in(call, code)
    return {"UserId": who["userid"], "DeviceId": ""} if "userid" in who else {"OpenId": who["openid"], "DeviceId": ""}


@endpoint("POST", "auth/getuserdetail", "login", user_ticket=Text(512, code=40029))
def get_user_detail(call: Call, *, user_ticket: str) -> dict[str, Any]:
    corp_id, ticket = call.world.codes.get(user_ticket, ("", Ticket("", 0, 0)))
    if corp_id != call.corp.corp_id or call.now >= ticket.until or ticket.of.get("kind") != "user_ticket":
        raise Refused(40029)
    member = call.corp.member(ticket.of["userid"])
    return {"userid": member.userid, "gender": member.gender, "avatar": "", "qr_code": ""}


@endpoint("GET", "getcallbackip")
def get_callback_ip(call: Call) -> dict[str, Any]:
    return {"ip_list": ["127.0.0.1"]}


@endpoint("GET", "get_api_domain_ip")
def get_api_domain_ip(call: Call) -> dict[str, Any]:
    return {"ip_list": ["127.0.0.1"]}
