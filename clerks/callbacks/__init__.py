"""What WeCom's callbacks do here. An event is a hint: it says where to look, and WeCom is asked how things are now.

    take ──the table below──▶ a function ──▶ outcome
                                 │              DONE, IGNORED
                                 │              AGAIN    read once more, the answer may have been some seconds old
                                 └──────────────DOUBT    the answer contradicts the event: again 2, 12, 30, 72 s later

Whatever the order of arrival, and however often each arrives, the end is the same (P6): what only an event tells is
kept with its time, everything else is read. Functions make transactions of their own, between the questions to WeCom.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from clerks.callbacks import cards, contacts, corps, people
from clerks.callbacks.heard import Heard, Outcome
from retail import jobs
from retail.jobs import Work
from retail.wecom import inbox
from retail.wecom.models import Message

AGAIN = "wecom_again"  # kind of the job that looks once more
DELAYS = (2, 10, 18, 42)  # seconds from each look to the next; who has left must be out within 60

# Event and change → who takes it; what is not here is kept as ignored.
TABLE: dict[tuple[str, str], Callable[[Heard], Outcome]] = {
    ("change_external_contact", "add_external_contact"): contacts.added,
    ("change_external_contact", "add_half_external_contact"): contacts.half_added,
    ("change_external_contact", "edit_external_contact"): contacts.edited,
    ("change_external_contact", "del_external_contact"): contacts.deleted,
    ("change_external_contact", "del_follow_user"): contacts.lost,
    ("change_external_contact", "transfer_fail"): contacts.transfer_failed,
    ("change_external_contact", "msg_audit_approved"): contacts.approved,
    ("change_external_chat", "create"): corps.chat_changed,
    ("change_external_chat", "update"): corps.chat_changed,
    ("change_external_chat", "dismiss"): corps.chat_dismissed,
    ("change_external_tag", "create"): corps.tag_changed,
    ("change_external_tag", "update"): corps.tag_changed,
    ("change_external_tag", "shuffle"): corps.tag_changed,
    ("change_external_tag", "delete"): corps.tag_deleted,
    ("change_contact", "create_party"): corps.departments_changed,
    ("change_contact", "update_party"): corps.departments_changed,
    ("change_contact", "delete_party"): corps.departments_changed,
    ("change_contact", "create_user"): people.came,
    ("change_contact", "update_user"): people.changed,
    ("change_contact", "delete_user"): people.left,
    ("customer_acquisition", "customer_start_chat"): contacts.started_chat,
    ("customer_acquisition", "balance_low"): corps.acquisition_troubled,
    ("customer_acquisition", "balance_exhausted"): corps.acquisition_troubled,
    ("customer_acquisition", "link_unavailable"): corps.acquisition_troubled,
    ("template_card_event", ""): cards.pressed,
    ("template_card_menu_event", ""): cards.pressed,
}


def take(*, message_id: int, now: datetime, round: int = 0) -> None:
    """Take a message, or look once more after one (`round` > 0). Raises the errors of retail.wecom.errors."""
    try:
        opened = inbox.open_message(message_id)
    except inbox.Forgotten:  # whom it is about wanted to be forgotten before it was taken
        return
    heard = Heard.of(opened, now=now, round=round)
    function = TABLE.get((heard.event, heard.change))
    outcome = function(heard) if function else Outcome.IGNORED
    if _is_to_be_looked_at_again(outcome, round):
        work = Work(AGAIN, {"message_id": message_id, "round": round + 1})
        jobs.enqueue(work=[work], now=now, due_at=now + timedelta(seconds=DELAYS[round]))
    if round == 0 or opened.message.state == Message.State.FAILED:  # a look that failed, and now did not
        state = Message.State.IGNORED if outcome == Outcome.IGNORED else Message.State.DONE
        inbox.close(opened.message, state, now)


def _is_to_be_looked_at_again(outcome: Outcome, round: int) -> bool:
    return (outcome == Outcome.AGAIN and round == 0) or (outcome == Outcome.DOUBT and round < len(DELAYS))
