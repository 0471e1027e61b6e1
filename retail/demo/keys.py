"""How the demo's buyers are known. Every value follows from a number, and none can be a real person's: mobile numbers
begin with 142 and 154, which no operator has been given.
"""

from retail import privacy
from retail.demo import copying

_ROW = 0x9E3779B97F4A7C15  # odd: multiplying by it modulo a power of two or ten never meets itself


def phone(person: int) -> str:
    return f"154{person * 7919 % 10**8:08d}"


def staff_phone(staff: int) -> str:
    return f"142{staff * 7919 % 10**8:08d}"


def unionid(person: int) -> str:
    return f"oDemo{person * _ROW % 2**92:023x}"


def external_userid(person: int, corp: str) -> str:
    return f"wmDemo{(person + len(corp)) * _ROW % 2**104:026x}"


def card(person: int) -> str:
    return f"8{person * 7919 % 10**9:09d}"


def channel_id(person: int) -> str:
    return f"{person * 7_368_787 % 10**10:010d}"


class Keyring:
    """Writes buyer keys under ids of ours, a bundle at a time."""

    def __init__(self) -> None:
        self._count = 0
        self._writer = copying.Writer("retail_buyerkey", "id, type, scope, hmac, cipher, masked", bundle=20_000)

    def add(self, type: str, scope: str, value: str) -> int:
        """The id of a new key."""
        self._count += 1
        self._writer.add((self._count, *privacy.row(privacy.Known(type, scope, value))))
        return self._count

    def flush(self) -> None:
        self._writer.flush()
