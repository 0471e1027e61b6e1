"""What may reach a log: never a phone number, nor a secret, however either is spelled.

Kept apart from `retail.privacy`, since logging starts before models.
"""

import logging
import re
import unicodedata
from urllib.parse import unquote

# A digit of any script, also as an address spells one of full width; between two of them at most three separators.
_DIGIT = r"(?:\d|%[Ee][Ff]%[Bb][Cc]%9\d)"
_ONE, _THREE_TO_NINE = r"(?:[1\uff11]|%[Ee][Ff]%[Bb][Cc]%91)", r"(?:[3-9\uff13-\uff19]|%[Ee][Ff]%[Bb][Cc]%9[3-9])"
_GAP = r"(?:[ \t\u3000\u00a0\-._\u00b7\u2022/()\uff08\uff09\u2014\u2013\uff0d+]|%20|%2[DdEe]){0,3}"
_MOBILE = re.compile(
    rf"(?<!\d)((?:(?:\+|%2[Bb]|00)?[8\uff18]{_GAP}[6\uff16]{_GAP})?)"
    rf"({_ONE}{_GAP}{_THREE_TO_NINE}(?:{_GAP}{_DIGIT}){{9}})(?!\d)"
)
# WeCom wants its tokens in addresses, HTTP libraries put addresses into their messages, and dicts are printed whole.
_SECRET_NAMES = r"[\w-]*(?:passw(?:or)?d|passphrase|secret|token|api_?key|aes_?key|credential|cookie)[\w-]*"
_IN_ADDRESS = r"\w*ticket|code|msg_signature|echostr"
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^&\s"'<>),;]+)"""
_SECRET = re.compile(
    rf"""\b((?:{_SECRET_NAMES})["']?(?:\s*[:=]|%3[Dd])\s*|(?:{_IN_ADDRESS})=)(?!\s*{{){_VALUE}""", re.IGNORECASE
)
_BEARER = re.compile(r"\b(Bearer|Basic)(\s+|%20)[\w\-.~+/]{8,}=*", re.IGNORECASE)
_IN_URL = re.compile(r"(://[^\s:/@]+:)[^\s/@]+@")
_PLAIN = logging.Formatter()


def masked(text: str) -> str:
    """The text with every mainland mobile number in it masked, and every secret taken out."""
    return _MOBILE.sub(_masked_number, _without_secrets(text))


def struck(text: str) -> str:
    """The same with nothing left of a number: for what is kept for good."""
    return _MOBILE.sub("****", _without_secrets(text))


def _without_secrets(text: str) -> str:
    return _SECRET.sub(r"\1****", _BEARER.sub(r"\1\2****", _IN_URL.sub(r"\1****@", text)))


def _masked_number(found: re.Match[str]) -> str:
    digits = "".join(str(unicodedata.digit(one)) for one in unquote(found[2]) if one.isdigit())
    return f"{found[1]}{digits[:3]}****{digits[-4:]}"


class PrivacyFilter(logging.Filter):
    """Masks mainland mobile numbers and secrets in whatever reaches a log handler: message, traceback, stack."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if (safe := masked(message)) != message:
            record.msg, record.args = safe, ()
        if record.exc_info and not record.exc_text:
            # A formatter writes what stands here and looks at the exception no more.
            record.exc_text = _PLAIN.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = masked(record.exc_text)
        if record.stack_info:
            record.stack_info = masked(record.stack_info)
        return True
