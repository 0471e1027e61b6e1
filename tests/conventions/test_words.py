"""Pages are written in Chinese and known in English: every text goes through gettext, and none lacks its English."""

import ast
import gettext
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.translation.template import templatize

ROOT = Path(settings.BASE_DIR)
CATALOGUES = sorted((ROOT / "retail" / "locale").rglob("django.po"))
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SOURCES = sorted(
    path
    for package in ("retail", "members", "commissions", "clerks")
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts
)
CJK = re.compile("[\u3000-\u9fff\uff00-\uffef]")
# What the calls of gettext are named, and which of their arguments are context, text and plural.
CALLS = {"_": (None, 0), "gettext": (None, 0), "gettext_lazy": (None, 0), "gettext_noop": (None, 0)}
CALLS |= {"ngettext": (None, 0), "ngettext_lazy": (None, 0), "pgettext": (0, 1), "pgettext_lazy": (0, 1)}
CALLS |= {"npgettext": (0, 1), "npgettext_lazy": (0, 1)}
# Chinese that nobody translates: names and rows that are data, and a language's own name.
DATA = (
    "retail/demo/",
    "retail/management/commands/demo.py",
    "retail/imports/sample_world.py",
    "retail/imports/missing.py",
    "retail/desk/roles.py",
    "retail/settings.py",
)

Text = tuple[str, str]  # context ("" for none), Chinese


# ── What the catalogues say ──────────────────────────────────────────────────────────────────────────────────────────
def entries(path: Path) -> dict[str, str]:
    """Of a .po: "context\\x04text" or "text" → its translation; of a plural, what one thing is called."""
    found: dict[str, str] = {}
    for block in re.split(r"\n\s*\n", path.read_text()):
        fields: dict[str, str] = {}
        keyword = ""
        for line in block.splitlines():
            if match := re.match(r'(?:(msg[a-z_]+(?:\[\d\])?) )?(".*")$', line):
                keyword = match[1] or keyword
                fields[keyword] = fields.get(keyword, "") + ast.literal_eval(match[2])
        if fields.get("msgid"):
            context = fields["msgctxt"] + "\x04" if "msgctxt" in fields else ""
            found[context + fields["msgid"]] = fields.get("msgstr", fields.get("msgstr[0]", ""))
    return found


def compiled(path: Path) -> dict[str, str]:
    """The same of a .mo."""
    with path.open("rb") as file:
        catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    singular = {(key[0] if isinstance(key, tuple) else key): text for key, text in catalogue.items() if key}
    ones = {key[0]: text for key, text in catalogue.items() if isinstance(key, tuple) and key[1] == 0}
    return singular | ones


ENGLISH = entries(ROOT / "retail" / "locale" / "en" / "LC_MESSAGES" / "django.po")


# ── What the code says ───────────────────────────────────────────────────────────────────────────────────────────────
def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, tuple[int | None, int]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            yield node, CALLS[node.func.id]


def texts_of_python(source: str) -> set[Text]:
    found = set()
    for call, (context, text) in calls(ast.parse(source)):
        literal = call.args[text]
        assert isinstance(literal, ast.Constant), f"line {call.lineno}: gettext cannot find {ast.unparse(literal)}"
        found.add((call.args[context].value if context is not None else "", literal.value))  # type: ignore[attr-defined]
    return found


def texts_of_template(source: str) -> set[Text]:
    """Django writes the calls of a template out as code for xgettext: `gettext(u'…')` or `_("…")` in a row of X."""
    literal = r"""u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\"{3}.*?\"{3}|'{3}.*?'{3})"""
    code = templatize(source)
    plain = {("", ast.literal_eval(one)) for one in re.findall(rf"(?<!p)(?:gettext|_)\(\s*{literal}", code, re.S)}
    contexts = re.findall(rf"pgettext\(\s*{literal},\s*{literal}", code, re.S)
    return plain | {(ast.literal_eval(context), ast.literal_eval(one)) for context, one in contexts}


def texts() -> dict[Text, str]:
    """Every text of the product → a file that says it."""
    said: dict[Text, str] = {}
    for paths, read in ((SOURCES, texts_of_python), (TEMPLATES, texts_of_template)):
        for path in paths:
            said |= dict.fromkeys(read(path.read_text()), str(path.relative_to(ROOT)))
    return {text: path for text, path in said.items() if text[1]}


def placeholders(text: str) -> Counter[str]:
    return Counter(re.findall(r"%\(\w+\)[a-z]|\{\w*\}|%%", text))


# ── The rules ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_search_finds_texts_of_every_kind():
    python = 'x = _("一") + pgettext_lazy("plural", "二") + ngettext("三", "三", n)'
    template = (
        '{% load i18n %}{% translate "四" %}{{ day|date:_("五") }}{% translate "六" context "c" %}'
        "{% blocktranslate with day=d %}七 {{ day }}{% endblocktranslate %}{% include 'x' with t=_('八') %}"
    )
    assert texts_of_python(python) == {("", "一"), ("plural", "二"), ("", "三")}
    assert texts_of_template(template) == {("", "四"), ("", "五"), ("c", "六"), ("", "七 %(day)s"), ("", "八")}
    assert len(texts()) > 500


def test_every_text_has_its_english():
    keys = {(f"{context}\x04{text}" if context else text): path for (context, text), path in texts().items()}
    missing = {key: path for key, path in keys.items() if not ENGLISH.get(key)}
    assert missing == {}, "`make messages` takes them in, but never out of an f-string"
    chinese = {key: english for key, english in ENGLISH.items() if CJK.search(english)}
    assert chinese == {}
    stale = set(ENGLISH) - set(keys)
    assert stale == set()


def test_english_keeps_the_placeholders():
    differ = {key: text for key, text in ENGLISH.items() if placeholders(key) != placeholders(text)}
    assert differ == {}


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_catalogues_are_compiled_and_sure(path):
    assert "#, fuzzy" not in path.read_text(), "gettext guessed; look at these"
    assert compiled(path.with_suffix(".mo")) == {key: text for key, text in entries(path).items() if text}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_chinese_stands_outside_gettext_in_a_template(path):
    markup = path.read_text()
    for said in (
        r"\{#.*?#\}",
        r"\{% comment .*?endcomment %\}",
        r"\{% blocktrans.*?endblocktrans(?:late)? %\}",
        r"\{% trans(?:late)? .*?%\}",
        r"""_\((?:"[^"]*"|'[^']*')\)""",
    ):
        markup = re.sub(said, lambda found: _arguments(found[0]), markup, flags=re.S)
    assert [line for line in markup.splitlines() if CJK.search(line)] == []


def _arguments(found: str) -> str:
    """What remains to be checked of what gettext takes: a date format, say, in the opening tag of a blocktranslate."""
    opening = re.match(r"\{% blocktrans.*?%\}", found, flags=re.S)
    return re.sub(r"""_\((?:"[^"]*"|'[^']*')\)""", "", opening[0]).strip("{%}") if opening else ""


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_chinese_stands_outside_gettext_in_python(path):
    if str(path.relative_to(ROOT)).startswith(DATA):
        return
    tree = ast.parse(path.read_text())
    inside = {id(part) for call, _where in calls(tree) for part in ast.walk(call)}
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    outside = [
        f"{node.lineno}: {node.value}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CJK.search(node.value)
        if id(node) not in inside | docstrings
    ]
    assert outside == []
