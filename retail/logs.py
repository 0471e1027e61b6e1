"""What may reach a log: never a phone number, nor a secret out of an address.

Kept apart from `retail.privacy`, since logging starts before models.
"""

import logging
import re

# Also with the country in front, in groups, and as an address spells it (%20, +).
_GAP = r"(?:[\s\-]|%20|\+)?"
_PHONE_IN_TEXT = re.compile(rf"(?<!\d)((?:(?:\+|%2[Bb]|00)?86{_GAP})?1[3-9]\d){_GAP}\d{{4}}{_GAP}(\d{{4}})(?!\d)")
# WeCom wants its tokens in addresses, and HTTP libraries put addresses into their messages.
_SECRET_IN_ADDRESS = re.compile(
    r"\b((?:\w*access_token|corpsecret|\w*ticket|code|msg_signature|echostr)=)[^&\s\"'<>)]+", re.IGNORECASE
)
_PLAIN = logging.Formatter()


def masked(text: str) -> str:
    """The text with every mainland mobile number in it masked, and every secret of an address."""
    return _PHONE_IN_TEXT.sub(r"\1****\2", _SECRET_IN_ADDRESS.sub(r"\1****", text))


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
