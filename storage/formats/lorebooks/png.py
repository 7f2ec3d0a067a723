"""The text chunks of a PNG, in which cards travel (PNG Specification, section 5 and 11.3.3).

The picture itself is never decompressed, and no text beyond a file's largest size.
"""

import struct
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from storyloom.memory.errors import ImportRefused
from storyloom.storage.formats.lorebooks.data import LARGEST_FILE

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_CHUNKS = 100_000
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_WIDTH, _HEIGHT, _GREY = 400, 600, 0xB4


@dataclass(frozen=True, slots=True)
class _Chunk:
    kind: bytes
    data: bytes
    whole: bytes  # with length, kind and checksum

    @property
    def sound(self) -> bool:
        return int.from_bytes(self.whole[-4:]) == zlib.crc32(self.kind + self.data)

    @property
    def keyword(self) -> str:
        return self.data.partition(b"\0")[0].decode("latin-1").lower() if self.kind in _TEXT else ""


def read_texts(content: bytes, wanted: Collection[str]) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The texts under the keywords wanted, the first of each, and what is wrong with others of them."""
    found: dict[str, bytes] = {}
    wrong: list[str] = []
    try:
        for chunk in _chunks(content):
            if chunk.keyword in wanted and chunk.keyword not in found:
                if not chunk.sound:
                    wrong.append(f"The picture's chunk “{chunk.keyword}” is damaged: its checksum is wrong.")
                    continue
                try:
                    found[chunk.keyword] = _text(chunk)
                except (zlib.error, ValueError) as error:
                    wrong.append(f"The picture's chunk “{chunk.keyword}” can't be read: {error}.")
    except ImportRefused as error:
        wrong.append(str(error))
    return found, tuple(wrong)


def with_texts(picture: bytes, texts: Mapping[str, bytes], without: Collection[str]) -> bytes:
    """The picture with these texts before its end, and without those that it had under ``without``.

    Raises:
        ImportRefused: it is no PNG, or a damaged one.
    """
    if not picture.startswith(SIGNATURE):
        raise ImportRefused("The picture is no PNG. Convert it to one first.")
    parts = [SIGNATURE]
    for chunk in _chunks(picture):
        if chunk.kind == b"IEND":
            parts += (
                _chunk(b"tEXt", keyword.encode("latin-1") + b"\0" + text) for keyword, text in texts.items()
            )
        if chunk.keyword not in without:
            parts.append(chunk.whole)
    return b"".join(parts)


def plain_picture() -> bytes:
    """A grey rectangle in a card's usual proportions."""
    header = struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, 8, 0, 0, 0, 0)  # 8 bits of grey, nothing interlaced
    rows = (b"\0" + bytes([_GREY]) * _WIDTH) * _HEIGHT
    return b"".join(
        (SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows, 9)), _chunk(b"IEND", b""))
    )


def _chunks(content: bytes) -> Iterator[_Chunk]:
    """The chunks in order, up to and with the end."""
    place = len(SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        head = content[place : place + 8]
        if len(head) < 8:
            raise ImportRefused("The picture is cut short.")
        length = int.from_bytes(head[:4])
        end = place + 12 + length
        if end > len(content):
            raise ImportRefused("The picture is cut short, or one of its chunks has a wrong length.")
        yield _Chunk(head[4:], content[place + 8 : end - 4], content[place:end])
        if head[4:] == b"IEND":
            return
        place = end
    raise ImportRefused(f"The picture has more than {_MOST_CHUNKS:,} chunks.")


def _text(chunk: _Chunk) -> bytes:
    rest = chunk.data.partition(b"\0")[2]
    if chunk.kind == b"tEXt":
        return rest
    if chunk.kind == b"zTXt":
        return _decompressed(rest[1:])
    compressed, text = rest[:1] == b"\1", rest[2:].split(b"\0", 2)
    if len(text) < 3:
        raise ValueError("it is cut short")
    return _decompressed(text[2]) if compressed else text[2]


def _decompressed(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(data, LARGEST_FILE)
    if unpacker.unconsumed_tail:
        raise ValueError(f"it unpacks to more than {LARGEST_FILE / 2**20:,.0f} MB")
    if not unpacker.eof:
        raise ValueError("it is cut short")
    return text


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
