"""Admin pages of clerks: who is whose, friends in WeCom, codes, welcomes, notices."""

from clerks.admin import codes, disputes, mirror, relations, tags, talk

__all__ = ["codes", "disputes", "mirror", "relations", "tags", "talk"]
