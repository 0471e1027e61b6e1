"""Admin pages of clerks: who is whose, friends in WeCom, codes, welcomes, notices, tags, merged members."""

from clerks.admin import codes, disputes, merging, mirror, policies, pool, relations, tags, talk, ties

__all__ = ["codes", "disputes", "merging", "mirror", "policies", "pool", "relations", "tags", "talk", "ties"]
