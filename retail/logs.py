"""What may reach a log: never a phone number. Kept apart from `retail.privacy`, since logging starts before models."""

import logging
import re

_PHONE_IN_TEXT = re.compile(r"(?<!\d)(1[3-9]\d)\d{4}(\d{4})(?!\d)")


class PrivacyFilter(logging.Filter):
    """Masks mainland mobile numbers in whatever reaches a log handler."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        masked = _PHONE_IN_TEXT.sub(r"\1****\2", message)
        if masked != message:
            record.msg, record.args = masked, ()
        return True
