"""Admin pages of clerks: who is whose, friends in WeCom, what is said to whom, leads, requests for help, merges."""

from clerks.admin import (
    broadcasts,
    codes,
    disputes,
    handover,
    help,
    intent,
    leads,
    merging,
    mirror,
    policies,
    pool,
    relations,
    shared,
    tags,
    talk,
    ties,
)

__all__ = [
    "broadcasts",
    "codes",
    "disputes",
    "handover",
    "help",
    "intent",
    "leads",
    "merging",
    "mirror",
    "policies",
    "pool",
    "relations",
    "shared",
    "tags",
    "talk",
    "ties",
]
