"""What events are called on the phone: in words, beside the name the protocol has for them."""

import re

CHANGES = {
    "add_external_contact": "新增好友",
    "add_half_external_contact": "顾客等待通过",
    "edit_external_contact": "好友资料修改",
    "del_external_contact": "导购删除顾客",
    "del_follow_user": "顾客删除导购",
    "transfer_fail": "客户接替失败",
    "msg_audit_approved": "顾客同意会话存档",
    "create_user": "新增成员",
    "update_user": "成员修改",
    "delete_user": "成员离职",
    "create_party": "新增部门",
    "update_party": "部门修改",
    "delete_party": "部门删除",
    "update_tag": "成员标签修改",
}
EVENTS = {
    ("change_external_chat", "create"): "建客户群",
    ("change_external_chat", "update"): "客户群变更",
    ("change_external_chat", "dismiss"): "客户群解散",
    ("change_external_tag", "create"): "新建标签",
    ("change_external_tag", "update"): "标签修改",
    ("change_external_tag", "delete"): "标签删除",
    ("change_external_tag", "shuffle"): "标签排序",
    ("customer_acquisition", "customer_start_chat"): "顾客从获客链接开口",
    ("template_card_event", ""): "点了通知卡片",
    ("template_card_menu_event", ""): "点了卡片菜单",
    ("enter_agent", ""): "打开应用",
    ("subscribe", ""): "关注应用",
    ("unsubscribe", ""): "取消关注应用",
    ("click", ""): "点了应用菜单",
    ("view", ""): "打开菜单网页",
    ("LOCATION", ""): "上报位置",
}
UNNAMED = "事件"


def of_event(xml: str) -> tuple[str, str]:
    """An event in words, and by the protocol's name: the change, or the event where nothing changes."""
    event, change = _field(xml, "Event"), _field(xml, "ChangeType")
    return CHANGES.get(change) or EVENTS.get((event, change)) or UNNAMED, change or event


def _field(xml: str, name: str) -> str:
    found = re.search(rf"<{name}><!\[CDATA\[(\w+)", xml)
    return found[1] if found else ""
