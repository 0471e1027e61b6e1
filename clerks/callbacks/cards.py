"""Buttons on the cards we sent to our people."""

from clerks.callbacks.heard import Heard, Outcome
from clerks.outreach import notices
from retail import org


def pressed(heard: Heard) -> Outcome:
    """Only the one who got the card can press it."""
    notice = notices.of_card(task_id=heard.text("TaskId"))
    staff = org.staff_of_account(corp=heard.corp, userid=heard.text("FromUserName"))
    if notice is None or staff is None or notice.staff_id != staff.pk:
        return Outcome.IGNORED
    code = heard.text("ResponseCode")
    notices.press(notice=notice, app=heard.app, key=heard.text("EventKey"), response_code=code, now=heard.now)
    return Outcome.DONE
