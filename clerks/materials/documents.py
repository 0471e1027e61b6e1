"""Videos and documents that come from outside: looked at before they are kept. They cannot be drawn anew as pictures
are, so what might run on somebody's machine, or hides a second file in the same bytes, is refused whole.

Nothing here is decoded or drawn; what is packed is opened within limits.
"""

import io
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath

from django.utils.translation import gettext as _

from clerks.materials.pictures import Unfit

MEGA = 1024 * 1024
MOST_VIDEO = 10 * MEGA
MOST_DOCUMENT = 20 * MEGA
LONGEST_NAME = 100
ENDINGS = ("pdf", "docx", "xlsx", "pptx")
_MOST_PARTS = 5_000
_MOST_UNPACKED = 200 * MEGA
_MOST_PACKED = 20 * MEGA  # of the packed objects of a PDF
_STREAM = re.compile(rb"stream\r?\n(.*?)endstream", re.S)
_MAIN = {"docx": "word/document.xml", "xlsx": "xl/workbook.xml", "pptx": "ppt/presentation.xml"}
_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"moof", b"mfra", b"sidx", b"styp", b"meta"}
_ACTIVE_PDF = {b"JavaScript", b"Launch", b"EmbeddedFile", b"EmbeddedFiles", b"RichMedia", b"SubmitForm", b"ImportData"}
_ACTIVE_PART = re.compile(r"vbaproject|activex|\.bin$|\.exe$|\.dll$|\.js$|\.vbs$|\.html?$|\.svg$|externallink", re.I)


def display_name(name: str) -> str:
    """A file's name as customers may see it: no folders, nothing invisible, nothing that turns letters round."""
    base = name.replace("\\", "/").rpartition("/")[2]
    seen = "".join(one for one in unicodedata.normalize("NFC", base) if unicodedata.category(one)[0] != "C")
    stem, dot, ending = re.sub(r'[<>:"|?*\s]+', " ", seen).strip(" .").rpartition(".")
    stem = (stem if dot else ending).strip(" .") or _("文件")
    tail = f".{ending.strip().lower()[:8]}" if dot and ending.strip() else ""
    return stem[: LONGEST_NAME - len(tail)] + tail


# ── Videos ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def check_video(data: bytes) -> None:
    """Raise Unfit for what is no whole MP4: boxes one after the other, to the last byte, with a film in them."""
    if len(data) > MOST_VIDEO:
        raise Unfit(_("视频太大：最多 %(size)s MB。") % {"size": MOST_VIDEO // MEGA})
    found = list(_boxes(data))
    if not found or found[0] != b"ftyp" or b"moov" not in found or not {b"mdat", b"moof"} & set(found):
        raise Unfit(_("这不是完整的 MP4 视频。"))


def _boxes(data: bytes) -> Iterator[bytes]:
    place = 0
    while place < len(data):
        size, kind = int.from_bytes(data[place : place + 4]), data[place + 4 : place + 8]
        if size == 1:
            size = int.from_bytes(data[place + 8 : place + 16])
        if kind not in _BOXES or size < 8 or place + size > len(data):
            raise Unfit(_("这不是完整的 MP4 视频。"))
        yield kind
        place += size


# ── Documents ────────────────────────────────────────────────────────────────────────────────────────────────────────
def check_document(name: str, data: bytes) -> None:
    """Raise Unfit unless name and content agree on one of the kinds we take, and nothing in it would run."""
    if len(data) > MOST_DOCUMENT:
        raise Unfit(_("文件太大：最多 %(size)s MB。") % {"size": MOST_DOCUMENT // MEGA})
    _stem, dot, ending = name.lower().rpartition(".")
    if not dot or ending not in ENDINGS:
        raise Unfit(_("只能上传 PDF、Word（docx）、Excel（xlsx）、PPT（pptx）。"))
    if ending == "pdf":
        return _check_pdf(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            _check_office(packed, data, ending)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        raise error if isinstance(error, Unfit) else Unfit(_broken(ending)) from None


def _broken(ending: str) -> str:
    return _("这不是完整的 %(kind)s 文件。") % {"kind": ending.upper()}


def _check_pdf(data: bytes) -> None:
    tail = data[-1024:].rstrip(b"\x00\r\n\t ")
    if not data.startswith(b"%PDF-") or not tail.endswith(b"%%EOF"):
        raise Unfit(_broken("pdf"))
    packed = list(_packed(data))
    if any(b"Encrypt" in _names(text) for text in (data, *packed)):
        raise Unfit(_("加了密码的 PDF 看不到里面是什么，请去掉密码再上传。"))
    # In the bytes of a picture three letters turn up by chance; a long name does not.
    outside = _STREAM.sub(b"", data)
    if any(_names(text) & _ACTIVE_PDF for text in (data, *packed)) or _names(outside) & {b"JS", b"XFA"}:
        raise Unfit(_("这个 PDF 里有脚本、附件或表单动作，不能发给顾客。请另存为普通 PDF。"))


def _names(text: bytes) -> set[bytes]:
    """The names in a part of a PDF; `/J#53` is another way to write /JS."""
    found = set(re.findall(rb"/([A-Za-z0-9#]{2,60})", text))
    return {re.sub(rb"#([0-9A-Fa-f]{2})", lambda one: bytes([int(one[1], 16)]), name) for name in found}


def _packed(data: bytes) -> Iterator[bytes]:
    """Objects that lie packed in others."""
    left = _MOST_PACKED
    for found in _STREAM.finditer(data):
        if b"ObjStm" not in _names(data[max(0, found.start() - 1000) : found.start()].rpartition(b"endobj")[2]):
            continue
        try:
            text = zlib.decompressobj().decompress(found[1], left)
        except zlib.error:
            raise Unfit(_broken("pdf")) from None
        left -= len(text)
        if left <= 0:
            raise Unfit(_("文件展开以后太大，打不开。"))
        yield text


def _check_office(packed: zipfile.ZipFile, data: bytes, ending: str) -> None:
    """A package of XML and pictures: all of it parts of the document, none a program, and nothing around it."""
    parts = packed.infolist()
    names = {part.filename for part in parts}
    if len(parts) > _MOST_PARTS or sum(part.file_size for part in parts) > _MOST_UNPACKED:
        raise Unfit(_("文件展开以后太大，打不开。"))
    is_whole = data.startswith(b"PK\x03\x04") and min(part.header_offset for part in parts) == 0 and not packed.comment
    if not is_whole or not {"[Content_Types].xml", _MAIN[ending]} <= names:
        raise Unfit(_broken(ending))
    if any(_is_odd(name) for name in names):
        raise Unfit(_broken(ending))
    with packed.open("[Content_Types].xml") as told:
        said = told.read(MEGA).lower()
    if b"macroenabled" in said or any(_ACTIVE_PART.search(name) for name in names):
        raise Unfit(_("文件里有宏、控件或外部链接，不能发给顾客。请另存为不带宏的文件。"))


def _is_odd(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\\" in name
