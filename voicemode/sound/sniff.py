"""What the first bytes of an answer are: which kind of sound, or no sound at all. Content before labels."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping

from voicemode.speech import AudioFormat

SNIFF_BYTES = 4096
"""More is never needed: the largest MPEG frame has 1,729 bytes, and two headers settle it."""

MP3_HEADER = 4
ADTS_HEADER = 7
ID3_HEADER = 10

_EXCERPT = 120
_TEXT_RUN = 48
"""Bytes of nothing but words before unlabelled bytes count as text: 24 samples that are all above +8,000."""

# Layer III of MPEG 1 (ISO 11172-3), then of MPEG 2 and 2.5 (ISO 13818-3): kbit/s by index, Hz by version and index.
_BITRATES = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_LAYER_II_BITRATES = {
    True: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    False: _BITRATES[False],
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_ADTS_RATES = 13

_OGG_CODECS = (b"OpusHead", b"\x01vorbis", b"\x7fFLAC", b"Speex", b"fishead")
_WAVES = (b"RIFF", b"RF64", b"BW64")
_MAGICS = (*_WAVES, b"OggS", b"fLaC", b"ID3")
_OGG_PAGE_HEADER, _OGG_LACING = 27, 255

_FILES = (
    (b"\x1f\x8b\x08", "a compressed file (gzip)"),
    (b"\x89PNG\r\n\x1a\n", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a ZIP file"),
    (b"\xff\xfe<\0!\0", "a page (UTF-16)"),
    (b"\xff\xfe<\0h\0", "a page (UTF-16)"),
    (b'\xff\xfe{\0"\0', "JSON (UTF-16)"),
)
"""Files that some server sends instead of sound, and that would be noise."""

_CONTAINERS = (
    (4, b"ftyp", "mov"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"FORM", "aiff"),
    (0, b".snd", "au"),
    (0, b"caff", "caf"),
    (0, b"riff", "w64"),
    (8, b"AVI ", "avi"),
    (0, b"FLV\x01", "flv"),
    (0, b"#!AMR\n", "amr"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
)

_TS_PACKET = 188
"""Bytes of a packet of an MPEG transport stream (ISO 13818-1), which begins with 0x47."""


def sniff(head: bytes) -> AudioFormat | None:
    """The format that `head` begins with; None for raw PCM, for something else, or for too few bytes.

    A lone MPEG header is believed only as long as `head` ends before the place of the next one.
    """
    if head[:3] == b"ID3" and len(head) >= ID3_HEADER:
        rest = head[id3_size(head) :]
        return sniff(rest) or AudioFormat.MP3
    if head[:4] in _WAVES:
        return AudioFormat.WAV if head[8:12] == b"WAVE" else None
    if head[:4] == b"OggS":
        return AudioFormat.OPUS
    if head[:4] == b"fLaC":
        return AudioFormat.FLAC
    if _followed(head, mp3_frame_size, MP3_HEADER):
        return AudioFormat.MP3
    if _followed(head, adts_frame_size, ADTS_HEADER):
        return AudioFormat.AAC
    return None


def undecided(head: bytes) -> bool:
    """Whether bytes after `head` could still change what `sniff` makes of it."""
    if any(len(head) < len(magic) and magic.startswith(head) for magic in _MAGICS):
        return True
    if head[:3] == b"ID3":
        return len(head) < ID3_HEADER
    if head[:4] in _WAVES:
        return len(head) < 12 and b"WAVE".startswith(head[8:])
    if _may_be_packets(head):
        return len(head) <= 2 * _TS_PACKET
    if head[:1] != b"\xff" or (len(head) > 1 and head[1] < 0xE0):
        return False
    if len(head) < ADTS_HEADER:
        return True
    size = mp3_frame_size(head) or adts_frame_size(head) or layer_ii_frame_size(head)
    return bool(size) and len(head) < size + ADTS_HEADER


def mp3_frame_size(header: bytes) -> int:
    """Bytes of the MPEG layer III frame whose header this is; 0 when it is none or free format."""
    if len(header) < MP3_HEADER or header[1] & 0x06 != 0x02:
        return 0
    bytes_per_kbit = 144_000 if header[1] & 0x08 else 72_000
    return _mpeg_frame_size(header, bytes_per_kbit, _BITRATES)


def layer_ii_frame_size(header: bytes) -> int:
    """The same for layer II, of broadcasting and of some old services."""
    if len(header) < MP3_HEADER or header[1] & 0x06 != 0x04:
        return 0
    return _mpeg_frame_size(header, 144_000, _LAYER_II_BITRATES)


def _mpeg_frame_size(header: bytes, bytes_per_kbit: int, bitrates: Mapping[bool, tuple[int, ...]]) -> int:
    if header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, bits, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bits in (0, 15) or rate == 3 or header[3] & 3 == 2:
        return 0
    return bytes_per_kbit * bitrates[version == 3][bits] // _RATES[version][rate] + (header[2] >> 1 & 1)


def adts_frame_size(header: bytes) -> int:
    """Bytes of the ADTS frame whose header this is; 0 when it is none."""
    if len(header) < ADTS_HEADER or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return 0
    if header[2] >> 2 & 15 >= _ADTS_RATES:
        return 0
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return size if size > ADTS_HEADER else 0


def id3_size(head: bytes) -> int:
    """Bytes of the whole ID3v2 tag that `head` (10 bytes or more) begins with; 0 when there is none."""
    if head[:3] != b"ID3" or len(head) < ID3_HEADER:
        return 0
    size = 0
    for value in head[6:10]:
        size = size << 7 | value & 0x7F
    footer = ID3_HEADER if head[5] & 0x10 else 0
    return ID3_HEADER + size + footer


def _followed(head: bytes, frame_size: Callable[[bytes], int], header: int) -> bool:
    size = frame_size(head)
    if not size:
        return False
    following = head[size : size + header]
    return len(following) < header or frame_size(following) > 0


def not_sound(head: bytes, content_type: str) -> str | None:
    """What `head` is when it is a page, a document or nothing instead of sound; None when it may be sound.

    Raw PCM has no mark of its own, so bytes are refused only when all of them read as text *and* have the shape
    of a document or come labelled as text. A label alone does not condemn: some frameworks call every answer
    text/html.
    """
    if not head:
        return "an empty answer (0 bytes)"
    found = sniff(head)
    if found is not None:
        return f"{found} with a damaged header" if _damaged(head, found) else None
    file = next((what for magic, what in _FILES if head.startswith(magic)), None)
    if file is not None:
        return file
    text = _as_text(head[:SNIFF_BYTES])
    if text is None:
        return _old_page(head[:SNIFF_BYTES])
    kind = _shape(text)
    if kind is None and (_is_text_type(content_type) or _is_prose(text)):
        kind = "plain text"
    if kind is None:
        return None
    return f"{kind}: {_excerpt(text)!r}"


def _damaged(head: bytes, found: AudioFormat) -> bool:
    """Whether nothing behind this header can be decoded; False for too few bytes."""
    # RFC 9639, 8.1: the first block is 34 bytes of STREAMINFO. RFC 3533, 6: a page has a table of its segments.
    if found is AudioFormat.FLAC and len(head) >= 8:
        return head[4] & 0x7F != 0 or int.from_bytes(head[5:8], "big") != 34
    if found is AudioFormat.OPUS and len(head) >= 64:
        packet = head[27 + head[26] :]
        return head[4] != 0 or (bool(packet) and not packet.startswith(_OGG_CODECS))
    return False


def _as_text(head: bytes) -> str | None:
    """`head` as UTF-8 (a character cut at the end is dropped), or None when it holds anything unprintable."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return None
    return text.strip() if all(letter.isprintable() or letter in "\t\r\n\f" for letter in text) else None


def _old_page(head: bytes) -> str | None:
    """A page or a document in an encoding of one byte for each letter."""
    text = head.decode("cp1252", errors="replace").strip()
    kind = _shape(text) if text[:1] in ("<", "{") else None
    printable = all(letter.isprintable() or letter in "\t\r\n\f" for letter in text)
    return f"{kind}: {_excerpt(text)!r}" if kind and printable else None


_SHAPES = (
    (
        "HTML",
        re.compile(
            r"(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body|title|h[1-6]|p|div|center|pre)\b", re.I | re.S
        ),
    ),
    (
        "XML",
        re.compile(r"<(\?xml\b|!doctype\b|[a-z_][\w.-]*(:[\w.-]+)?(\s+[\w:.-]+\s*=\s*[\"']|\s*/?>))", re.I),
    ),
    (
        "JSON",
        re.compile(r"\{\s*(\"|\}\Z)|\[\s*([\"{\[]|\]\Z|-?\d+[.\d]*\s*[,\]])|(\"[^\"]*\"|null|true|false)\Z"),
    ),
    ("server-sent events", re.compile(r"(event|data|id|retry): ?\S")),
)


def _shape(text: str) -> str | None:
    return next((kind for kind, shape in _SHAPES if shape.match(text)), None)


def _is_text_type(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind.endswith(("json", "xml", "html", "javascript"))


def _is_prose(text: str) -> bool:
    letters = sum(letter.isalpha() or letter == " " for letter in text)
    return len(text) >= _TEXT_RUN and " " in text and letters >= 0.7 * len(text) and len(set(text)) >= 10


def _excerpt(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _EXCERPT else line[: _EXCERPT - 1] + "…"


def container(head: bytes) -> str:
    """PyAV's name for the container that `head` (8 bytes or more) begins and that is not read while it arrives;
    empty when it is none of these."""
    if _may_be_packets(head):
        return "mpegts"
    if _followed(head, layer_ii_frame_size, MP3_HEADER):
        return "mp3"
    return next((name for at, magic, name in _CONTAINERS if head.startswith(magic, at)), "")


def _may_be_packets(head: bytes) -> bool:
    """Whether `head` begins as an MPEG transport stream does: whole packets, the first one with the start of a table.
    As raw PCM the first sample would be very loud."""
    starts = head[::_TS_PACKET][:3]
    return head[1:2] != b"" and head[1] & 0xC0 == 0x40 and starts == b"G" * len(starts)


def first_ogg_packet(head: bytes) -> bytes | None:
    """The first 8 bytes of the first packet of an Ogg stream; None when `head` is too short."""
    lacings = head[26] if len(head) >= _OGG_PAGE_HEADER else _OGG_LACING
    start = _OGG_PAGE_HEADER + lacings
    return head[start : start + 8] if len(head) >= start + 8 else None
