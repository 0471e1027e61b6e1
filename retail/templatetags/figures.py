"""How money, rates and codes are written on a page: fen as yuan, ppm as percent."""

from django import template

register = template.Library()


@register.filter
def yuan(fen: int | None) -> str:
    """123456 → "1,234.56"; −5 → "-0.05"; None → "–"."""
    if fen is None:
        return "–"
    sign, fen = ("-", -fen) if fen < 0 else ("", fen)
    return f"{sign}{fen // 100:,}.{fen % 100:02d}"


@register.filter
def difference(fen: int) -> str:
    """500 → "+¥5.00"; −5 → "-¥0.05"; 0 → "¥0.00"."""
    sign = "" if not fen else "-" if fen < 0 else "+"
    return f"{sign}¥{yuan(abs(fen))}"


@register.filter
def whole_yuan(fen: int | None) -> str:
    """320000 → "3,200"; 320050 → "3,200.50"."""
    return yuan(fen).removesuffix(".00")


@register.filter
def percent(ppm: int | None) -> str:
    """25000 → "2.5%"; 33333 → "3.3333%"."""
    if ppm is None:
        return "–"
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".") + "%"
