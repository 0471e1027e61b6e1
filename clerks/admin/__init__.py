"""Admin pages of clerks: who is whose, friends in WeCom, codes, welcomes, notices."""

from clerks.admin import codes, disputes, merging, mirror, relations, talk

__all__ = ["codes", "disputes", "merging", "mirror", "relations", "talk"]
