"""From a scan to a greeted customer who is somebody's: the whole path, over the real protocol."""

from clerks.models import Friend, Greeting, Welcome
from members.models import Member
from retail.wecom.models import Message
from tests.factories.corp import CUSTOMER, LI, Corp


def test_a_new_friend_is_known_bound_and_greeted(wecom_corp: Corp) -> None:
    brand = wecom_corp.shop.brand
    Welcome.objects.create(name="通用", brand=brand, text="您好，我是{store}的{clerk}")
    wecom_corp.act("add", userid=LI, external_userid=CUSTOMER)
    wecom_corp.happen()

    friend = wecom_corp.friend()
    assert friend.state == Friend.State.FRIEND
    assert friend.staff == wecom_corp.staff(LI) and friend.store == wecom_corp.shop.store
    assert friend.member.name == "小鹿"
    assert {one.key.type for one in friend.member.identities.all()} == {"external_userid", "unionid"}
    assert wecom_corp.bonds() == [(LI, "contact_code", True)]
    assert Message.objects.get().state == "done"

    greeting = Greeting.objects.get()
    assert (greeting.state, greeting.errcode, greeting.attempts) == ("sent", 0, 1)
    (said,) = wecom_corp.asked("externalcontact/send_welcome_msg")
    assert said["body"]["text"]["content"] == f"您好，我是{wecom_corp.shop.store.name}的员工{LI}"
    assert Member.objects.get().touches.get().purpose == "welcome"
