"""Admin pages of clerks: who is whose, friends in WeCom, what is said to whom, requests for help, tags, merges."""

from clerks.admin import broadcasts, codes, disputes, help, merging, mirror, relations, tags, talk

__all__ = ["broadcasts", "codes", "disputes", "help", "merging", "mirror", "relations", "tags", "talk"]
