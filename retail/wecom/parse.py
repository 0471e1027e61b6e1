"""The XML of WeCom as a dict, and nothing that is not such XML.

WeCom's messages are small trees of elements with text. Whatever else XML can do (declarations of types and entities,
depth without end) is refused before a parser sees it.
"""

from typing import Any
from xml.parsers import expat

from retail.wecom.crypto import Refused

MOST_BYTES = 64 * 1024
MOST_DEEP = 8
MOST_ELEMENTS = 4_000


def parse(xml: bytes) -> dict[str, Any]:
    """The children of the root: text as str, elements as dict, several of one name as list. Raises Refused."""
    if len(xml) > MOST_BYTES:
        raise Refused("size")
    _refuse_declarations(xml)
    tree = _Tree()
    parser = expat.ParserCreate(encoding="utf-8")
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = tree.start, tree.end
    parser.CharacterDataHandler = tree.text
    try:
        parser.Parse(xml, True)
    except (expat.ExpatError, ValueError):
        raise Refused("shape") from None
    if not isinstance(tree.root, dict):
        raise Refused("shape")
    return tree.root


def _refuse_declarations(xml: bytes) -> None:
    """CDATA is the one construct with `<!` that WeCom uses. Each byte is looked at once, whatever stands there."""
    place = 0
    while (place := xml.find(b"<!", place)) >= 0:
        end = xml.find(b"]]>", place)
        if end < 0 or not xml.startswith(b"<![CDATA[", place):
            raise Refused("shape")
        place = end


class _Tree:
    """What the parser has seen so far. Text beside elements is only ever the space between them."""

    def __init__(self) -> None:
        self.root: Any = None
        self.open: list[tuple[str, dict[str, Any]]] = []
        self.words: list[str] = []
        self.count = 0

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self.count += 1
        if len(self.open) >= MOST_DEEP or self.count > MOST_ELEMENTS:
            raise Refused("shape")
        self.open.append((name, {}))
        self.words.clear()

    def text(self, words: str) -> None:
        self.words.append(words)

    def end(self, _name: str) -> None:
        name, children = self.open.pop()
        value: Any = children or "".join(self.words)
        self.words.clear()
        if not self.open:
            self.root = value
            return
        siblings = self.open[-1][1]
        if name not in siblings:
            siblings[name] = value
        elif isinstance(siblings[name], list):
            siblings[name].append(value)
        else:
            siblings[name] = [siblings[name], value]
