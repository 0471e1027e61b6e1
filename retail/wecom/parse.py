"""The XML of WeCom as a dict, and nothing that is not such XML.

WeCom's messages are small trees of elements with text. Whatever else XML can do (declarations of types and entities,
depth without end) is refused before a parser sees it.
"""

import re
from typing import Any
from xml.etree import ElementTree

from retail.wecom.crypto import Refused

MOST_BYTES = 64 * 1024
MOST_DEEP = 8
MOST_TAGS = 4_000  # begin and end counted apart; WeCom's longest lists have a few hundred


_CDATA = b"<![CDATA["
_ENCRYPT = re.compile(rb"<Encrypt>(?:<!\[CDATA\[)?([^<>&\]]*)(?:\]\]>)?</Encrypt>")


def sealed_part(envelope: bytes) -> str:
    """The text of its one Encrypt element. Nothing else there is signed, so no parser sees it. Raises Refused."""
    if len(envelope) > MOST_BYTES:
        raise Refused("size")
    if envelope.count(b"<!") != envelope.count(_CDATA):  # a declaration, whatever it stands in
        raise Refused("shape")
    found = _ENCRYPT.findall(envelope)
    if len(found) != 1 or not found[0].isascii():
        raise Refused("shape")
    return str(found[0], "ascii")


def parse(xml: bytes) -> dict[str, Any]:
    """The children of the root: text as str, elements as dict, several of one name as list. Raises Refused."""
    if len(xml) > MOST_BYTES:
        raise Refused("size")
    if xml.count(b"<") > MOST_TAGS:
        raise Refused("shape")
    _refuse_declarations(xml)
    try:
        root = ElementTree.XML(xml, ElementTree.XMLParser(encoding="utf-8"))
    except (ElementTree.ParseError, ValueError):
        raise Refused("shape") from None
    if not len(root):
        raise Refused("shape")
    return _children(root, 1)


def _children(parent: ElementTree.Element, depth: int) -> dict[str, Any]:
    """Text beside elements is only ever the space between them."""
    if depth >= MOST_DEEP:
        raise Refused("shape")
    found: dict[str, Any] = {}
    for element in parent:
        value: Any = _children(element, depth + 1) if len(element) else element.text or ""
        name = element.tag
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def _refuse_declarations(xml: bytes) -> None:
    """CDATA is the one construct with `<!` that WeCom uses. Each byte is looked at once, whatever stands there."""
    if xml.count(b"<!") == xml.count(_CDATA):
        return
    place = 0  # else only a text may hold the others
    while (place := xml.find(b"<!", place)) >= 0:
        end = xml.find(b"]]>", place)
        if end < 0 or not xml.startswith(_CDATA, place):
            raise Refused("shape")
        place = end
