"""Long lists of the phone, a page at a time."""

from django.http import Http404, HttpRequest

PER_PAGE = 20


def start(request: HttpRequest) -> int:
    """How many rows the reader has seen already."""
    text = request.GET.get("from", "0")
    if not (text.isascii() and text.isdecimal() and len(text) < 7):
        raise Http404
    return int(text)
