"""Admin pages of clerks: who is whose, friends in WeCom, codes, welcomes, notices, tags, merged members."""

from clerks.admin import codes, disputes, intent, merging, mirror, relations, tags, talk

__all__ = ["codes", "disputes", "intent", "merging", "mirror", "relations", "tags", "talk"]
