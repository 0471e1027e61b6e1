"""Admin pages of clerks: who is whose, friends in WeCom, codes, welcomes, notices, leads, tags, merged members."""

from clerks.admin import codes, disputes, intent, leads, merging, mirror, relations, tags, talk

__all__ = ["codes", "disputes", "intent", "leads", "merging", "mirror", "relations", "tags", "talk"]
