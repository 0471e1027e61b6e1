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


class Numbers:
    """Gives keys their ids, one after another, and writes none."""

    def __init__(self, count: int = 0) -> None:
        self._count = count

    def add(self, type: str, scope: str, value: str) -> int:
        """The id of a new key."""
        self._count += 1
        return self._count

    def flush(self) -> None:
        """Nothing waits."""


class Keyring(Numbers):
    """Writes buyer keys under ids of ours, a bundle at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._writer = copying.Writer("retail_buyerkey", "id, type, scope, hmac, cipher, masked", bundle=20_000)

    def add(self, type: str, scope: str, value: str) -> int:
        number = super().add(type, scope, value)
        self._writer.add((number, *privacy.row(privacy.Known(type, scope, value))))
        return number

    def flush(self) -> None:
        self._writer.flush()

    def numbers(self) -> Numbers:
        """Those it will give from here on."""
        return Numbers(self._count)
