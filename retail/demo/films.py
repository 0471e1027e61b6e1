"""Films of the demo: pictures one after the other, each for some seconds, as an MP4 that any phone plays.

Nothing here compresses: a picture is written as its own bytes (I_PCM of H.264), and the frames after it say that
nothing has changed. Baseline profile, one slice a frame.
"""

import io
import struct
from collections.abc import Iterable

from PIL import Image

WIDTH, HEIGHT = 240, 320  # whole macroblocks of 16
RATE = 4  # frames a second
_COLUMNS, _ROWS = WIDTH // 16, HEIGHT // 16
_TIME = 1000


class _Bits:
    """Bits, the highest first; `ue` and `se` are Exp-Golomb."""

    def __init__(self) -> None:
        self.data, self.held, self.count = bytearray(), 0, 0

    def u(self, value: int, size: int) -> None:
        self.held, self.count = (self.held << size) | value, self.count + size
        while self.count >= 8:
            self.count -= 8
            self.data.append((self.held >> self.count) & 255)
        self.held &= (1 << self.count) - 1

    def ue(self, value: int) -> None:
        size = (value + 1).bit_length()
        self.u(value + 1, 2 * size - 1)

    def se(self, value: int) -> None:
        self.ue(2 * value - 1 if value > 0 else -2 * value)

    def align(self) -> None:
        if self.count:
            self.u(0, 8 - self.count)

    def end(self) -> bytes:
        self.u(1, 1)
        self.align()
        return bytes(self.data)


def film(pictures: Iterable[bytes], *, seconds: int) -> bytes:
    """`pictures`: JPEGs; `seconds`: how long each is shown."""
    frames: list[bytes] = []
    for place, data in enumerate(pictures):
        frames.append(_nal(0x65, _still(data, place % 2)))
        frames += [_nal(0x41, _same(number % 16)) for number in range(1, RATE * seconds)]
    keys = [place + 1 for place in range(0, len(frames), RATE * seconds)]
    return _file(frames, keys)


# ── H.264 ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _nal(kind: int, data: bytes) -> bytes:
    """With the bytes in between that keep a start code from appearing in it; its length before it."""
    out, zeros = bytearray([kind]), 0
    for byte in data:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return struct.pack(">I", len(out)) + bytes(out)


def _sequence() -> bytes:
    bits = _Bits()
    for value in (66, 0xC0, 21):  # baseline, level 2.1
        bits.u(value, 8)
    for value in (0, 0, 2, 1):  # its number; 16 frames are counted; shown as they come; one is looked back at
        bits.ue(value)
    bits.u(0, 1)
    bits.ue(_COLUMNS - 1)
    bits.ue(_ROWS - 1)
    bits.u(0b1100, 4)  # frames, 8×8 inference; no cropping, nothing about the display
    return bits.end()


def _picture() -> bytes:
    bits = _Bits()
    bits.ue(0)
    bits.ue(0)
    bits.u(0, 2)  # CAVLC
    bits.ue(0)
    bits.ue(0)
    bits.ue(0)
    bits.u(0, 3)  # no weights
    for _ in range(3):
        bits.se(0)
    bits.u(0b100, 3)  # slices may switch the filter off
    return bits.end()


def _slice(kind: int, number: int) -> _Bits:
    bits = _Bits()
    for value in (0, kind, 0):
        bits.ue(value)
    bits.u(number, 4)
    return bits


def _still(jpeg: bytes, turn: int) -> bytes:
    luma, *chroma = _planes(jpeg)
    bits = _slice(7, 0)
    bits.ue(turn)  # two such frames in a row are told apart by it
    bits.u(0, 2)
    bits.se(0)
    bits.ue(1)  # no filter
    for row in range(_ROWS):
        for column in range(_COLUMNS):
            bits.ue(25)  # I_PCM
            bits.align()
            bits.data += _block(luma, column, row, 16)
            for plane in chroma:
                bits.data += _block(plane, column, row, 8)
    return bits.end()


def _same(number: int) -> bytes:
    """Every block as it was."""
    bits = _slice(5, number)
    bits.u(0, 2)  # one to look back at, in its place
    bits.u(0, 1)
    bits.se(0)
    bits.ue(1)
    bits.ue(_COLUMNS * _ROWS)
    return bits.end()


def _planes(jpeg: bytes) -> list[Image.Image]:
    with Image.open(io.BytesIO(jpeg)) as found:
        luma, blue, red = found.convert("RGB").resize((WIDTH, HEIGHT)).convert("YCbCr").split()
    narrow = luma.point(lambda value: 16 + value * 219 // 255)
    half = (WIDTH // 2, HEIGHT // 2)
    return [narrow, *(one.resize(half).point(lambda value: 16 + value * 224 // 255) for one in (blue, red))]


def _block(plane: Image.Image, column: int, row: int, size: int) -> bytes:
    return plane.crop((column * size, row * size, (column + 1) * size, (row + 1) * size)).tobytes()


# ── MP4 ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _box(kind: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return struct.pack(">I4s", len(data) + 8, kind) + data


def _file(frames: list[bytes], keys: list[int]) -> bytes:
    head = _box(b"ftyp", b"isom", struct.pack(">I", 512), b"isomavc1")
    start = len(head) + len(_moov(frames, keys, 0)) + 8
    return head + _moov(frames, keys, start) + _box(b"mdat", *frames)


_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def _moov(frames: list[bytes], keys: list[int], start: int) -> bytes:
    lasts = len(frames) * _TIME // RATE
    movie = _box(
        b"mvhd",
        struct.pack(">5I", 0, 0, 0, _TIME, lasts),
        struct.pack(">IH10x", 0x10000, 0x100),
        _MATRIX,
        bytes(24),
        struct.pack(">I", 2),
    )
    track = _box(
        b"tkhd",
        struct.pack(">6I", 7, 0, 0, 1, 0, lasts),
        bytes(16),
        _MATRIX,
        struct.pack(">II", WIDTH << 16, HEIGHT << 16),
    )
    media = _box(b"mdhd", struct.pack(">5IHH", 0, 0, 0, _TIME, lasts, 0x55C4, 0))
    handler = _box(b"hdlr", struct.pack(">II4s12x", 0, 0, b"vide"), b"\0")
    link = _box(b"dinf", _box(b"dref", struct.pack(">II", 0, 1), _box(b"url ", struct.pack(">I", 1))))
    info = _box(b"minf", _box(b"vmhd", struct.pack(">I8x", 1)), link, _table(frames, keys, start))
    return _box(b"moov", movie, _box(b"trak", track, _box(b"mdia", media, handler, info)))


def _table(frames: list[bytes], keys: list[int], start: int) -> bytes:
    sequence, picture = b"\x67" + _sequence(), b"\x68" + _picture()
    settings = _box(
        b"avcC", bytes([1, 66, 0xC0, 21, 0xFF, 0xE1]), struct.pack(">H", len(sequence)), sequence,
        b"\1", struct.pack(">H", len(picture)), picture,
    )  # fmt: skip
    entry = _box(
        b"avc1", struct.pack(">6xH16xHHIIIH32xHh", 1, WIDTH, HEIGHT, 0x480000, 0x480000, 0, 1, 24, -1), settings
    )
    return _box(
        b"stbl",
        _box(b"stsd", struct.pack(">II", 0, 1), entry),
        _box(b"stts", struct.pack(">4I", 0, 1, len(frames), _TIME // RATE)),
        _box(b"stss", struct.pack(">II", 0, len(keys)), struct.pack(f">{len(keys)}I", *keys)),
        _box(b"stsc", struct.pack(">5I", 0, 1, 1, len(frames), 1)),
        _box(b"stsz", struct.pack(">III", 0, 0, len(frames)), struct.pack(f">{len(frames)}I", *map(len, frames))),
        _box(b"stco", struct.pack(">III", 0, 1, start)),
    )
