"""What events are called by people."""

from django.utils.translation import gettext_lazy as _

# Event and change, as WeCom names them.
EVENTS = {
    ("change_external_contact", "add_external_contact"): _("新增好友"),
    ("change_external_contact", "add_half_external_contact"): _("顾客等待通过"),
    ("change_external_contact", "edit_external_contact"): _("好友资料修改"),
    ("change_external_contact", "del_external_contact"): _("导购删除顾客"),
    ("change_external_contact", "del_follow_user"): _("顾客删除导购"),
    ("change_external_contact", "transfer_fail"): _("客户接替失败"),
    ("change_external_contact", "msg_audit_approved"): _("顾客同意会话存档"),
    ("change_external_chat", "create"): _("建客户群"),
    ("change_external_chat", "update"): _("客户群变更"),
    ("change_external_chat", "dismiss"): _("客户群解散"),
    ("change_external_tag", "create"): _("新建标签"),
    ("change_external_tag", "update"): _("标签修改"),
    ("change_external_tag", "delete"): _("标签删除"),
    ("change_external_tag", "shuffle"): _("标签排序"),
    ("change_contact", "create_user"): _("新增成员"),
    ("change_contact", "update_user"): _("成员修改"),
    ("change_contact", "delete_user"): _("成员离职"),
    ("change_contact", "create_party"): _("新增部门"),
    ("change_contact", "update_party"): _("部门修改"),
    ("change_contact", "delete_party"): _("部门删除"),
    ("change_contact", "update_tag"): _("成员标签修改"),
    ("customer_acquisition", "customer_start_chat"): _("顾客从获客链接开口"),
    ("customer_acquisition", "balance_low"): _("获客余额不足"),
    ("customer_acquisition", "balance_exhausted"): _("获客余额用完"),
    ("customer_acquisition", "balance_increased"): _("获客余额增加"),
    ("customer_acquisition", "link_unavailable"): _("获客链接失效"),
    ("customer_acquisition", "delete_link"): _("获客链接删除"),
    ("customer_acquisition", "friend_request"): _("获客链接加好友"),
    ("customer_acquisition", "open_profile"): _("打开获客链接"),
    ("template_card_event", ""): _("点了通知卡片"),
    ("template_card_menu_event", ""): _("点了卡片菜单"),
    ("batch_job_result", ""): _("异步任务完成"),
    ("msgaudit_notify", ""): _("有新的会话存档"),
    ("enter_agent", ""): _("打开应用"),
    ("subscribe", ""): _("关注应用"),
    ("unsubscribe", ""): _("取消关注应用"),
    ("click", ""): _("点了应用菜单"),
    ("view", ""): _("打开菜单网页"),
    ("LOCATION", ""): _("上报位置"),
    ("location", ""): _("上报位置"),
    ("text", ""): _("文字消息"),
    ("", ""): _("看不懂的内容"),
}


def of_event(*, event: str, change: str) -> str:
    """In words; as WeCom writes it where it is not known here."""
    return str(EVENTS.get((event, change)) or EVENTS.get((event, "")) or f"{event} {change}".strip())
