"""How the differences of the increment report are written."""

from django import template

from retail.templatetags.figures import yuan

register = template.Library()


@register.filter
def share(rate: float) -> str:
    """0.1234 → "12.3%"."""
    return f"{rate * 100:.1f}%"


@register.filter
def points(rate: float) -> str:
    """A difference of shares: 0.0123 → "+1.2%"."""
    return f"{rate * 100:+.1f}%"


@register.filter
def yuan_of(fen: float) -> str:
    """-512.4 → "-¥5.12"."""
    whole = round(fen)
    return f"{'-' if whole < 0 else ''}¥{yuan(abs(whole))}"
