"""Clerks and their customers: who is whose, who is whose friend in WeCom, and what was said to whom."""

from clerks.models.binding import Binding, TurnedAway
from clerks.models.book import Customer, Note
from clerks.models.broadcasts import Broadcast
from clerks.models.codes import ContactWay, Shift
from clerks.models.corp import CorpTag, Department, GroupChat, GroupChatMember, SyncRun
from clerks.models.friends import Friend, FriendMove
from clerks.models.handover import ChatTransfer, FriendTransfer, Handover, HandoverRow
from clerks.models.help import HelpRequest
from clerks.models.merging import Merge, MergeMove
from clerks.models.outreach import Greeting, Notice, Touch, Welcome, WelcomePart
from clerks.models.policy import PastPolicy, Policy
from clerks.models.pool import Pooled, PoolPolicy
from clerks.models.ties import Rival, Tie
from clerks.models.wishes import TagWish

__all__ = [
    "Binding",
    "Broadcast",
    "ChatTransfer",
    "ContactWay",
    "CorpTag",
    "Customer",
    "Department",
    "Friend",
    "FriendMove",
    "FriendTransfer",
    "Greeting",
    "GroupChat",
    "GroupChatMember",
    "Handover",
    "HandoverRow",
    "HelpRequest",
    "Merge",
    "MergeMove",
    "Note",
    "Notice",
    "PastPolicy",
    "Policy",
    "PoolPolicy",
    "Pooled",
    "Rival",
    "Shift",
    "SyncRun",
    "TagWish",
    "Tie",
    "Touch",
    "TurnedAway",
    "Welcome",
    "WelcomePart",
]
