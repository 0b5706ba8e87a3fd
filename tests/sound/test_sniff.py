from __future__ import annotations

import gzip
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.encoding import encode
from voicemode.pcm import SPEECH, Frame
from voicemode.sound.sniff import SNIFF_BYTES, adts_frame_size, mp3_frame_size, not_sound, sniff, undecided
from voicemode.speech import AudioFormat

WAV = b"RIFF\xff\xff\xff\xffWAVEfmt "
MP3_HEADER = bytes.fromhex("fff384c4")  # MPEG 2 layer III, 64 kbit/s, 24 kHz: 192 bytes
MP3 = (MP3_HEADER + bytes(188)) * 2
ADTS_HEADER = bytes.fromhex("fff158400c9ffc")  # 24 kHz mono, 100 bytes
ADTS = (ADTS_HEADER + bytes(93)) * 2
ID3 = b"ID3\x04\x00\x00\x00\x00\x00\x05hello"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (WAV, AudioFormat.WAV),
        (b"RF64\xff\xff\xff\xffWAVEds64", AudioFormat.WAV),
        (MP3, AudioFormat.MP3),
        (MP3[:100], AudioFormat.MP3),
        (ID3 + MP3, AudioFormat.MP3),
        (ID3 + ADTS, AudioFormat.AAC),
        (ID3[:10], AudioFormat.MP3),
        (b"OggS\x00\x02", AudioFormat.OPUS),
        (ADTS, AudioFormat.AAC),
        (b"fLaC\x00\x00\x00\x22", AudioFormat.FLAC),
        (b"", None),
        (bytes(100), None),
        (b"RIFF\x10\x00\x00\x00AVI ", None),
        (MP3_HEADER + bytes(300), None),
        (ADTS_HEADER + bytes(300), None),
    ],
)
def test_the_first_bytes_tell_the_format(head: bytes, expected: AudioFormat | None) -> None:
    assert sniff(head) is expected


def test_headers_give_the_size_of_their_frame() -> None:
    assert mp3_frame_size(bytes.fromhex("fffb9064")) == 417
    assert mp3_frame_size(bytes.fromhex("fffb9264")) == 418
    assert mp3_frame_size(MP3_HEADER) == 192
    assert adts_frame_size(ADTS_HEADER) == 100


@pytest.mark.parametrize(
    "header", ["fffb0064", "fffbf064", "fffb9c64", "ffeb9064", "fffd9064", "ffffffff", "fefb9064"]
)
def test_reserved_values_are_no_mpeg_header(header: str) -> None:
    assert mp3_frame_size(bytes.fromhex(header)) == 0


@given(st.lists(st.integers(-900, 900), max_size=1000))
def test_quiet_pcm_is_neither_a_container_nor_a_document(values: list[int]) -> None:
    head = struct.pack(f"<{len(values)}h", *values)
    assert sniff(head) is None
    assert not head or not_sound(head, "audio/pcm") is None
    assert len(head) < 10 or not undecided(head)


@pytest.mark.parametrize("whole", [WAV, MP3, ADTS, ID3 + MP3, b"OggS\x00\x02", b"fLaC\x00\x00\x00\x22"])
def test_a_decision_that_is_final_is_the_one_all_bytes_give(whole: bytes) -> None:
    for length in range(1, len(whole)):
        if not undecided(whole[:length]):
            assert sniff(whole[:length]) is sniff(whole)


@given(st.binary(min_size=8, max_size=8))
def test_an_mpeg_frame_is_settled_within_the_bytes_to_sniff(header: bytes) -> None:
    assert not undecided(b"\xff\xfb" + header + bytes(SNIFF_BYTES))
    assert not undecided(b"\x00" + header)


@pytest.mark.parametrize(
    ("head", "content_type", "expected"),
    [
        (b"", "audio/wav", "an empty answer (0 bytes)"),
        (b"<!DOCTYPE html><html><body>502 Bad Gateway", "text/html", "HTML"),
        (b"\xef\xbb\xbf \n<html lang=en>", "audio/mpeg", "HTML"),
        (b"<!-- proxy --> <html>", "", "HTML"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied", "audio/mpeg", "XML"),
        (b"<Error><Code>NoSuchKey</Code></Error>", "", "XML"),
        (b'{"error": {"message": "quota"}}', "audio/wav", "JSON"),
        (b"[]", "", "JSON"),
        (b'{\n  "detail', "", "JSON"),
        (b'"Not ready"', "", "JSON"),
        (b"data: {}", "", "server-sent events"),
        (b"Not Found", "text/plain; charset=utf-8", "plain text"),
        (b"The model is being loaded, please try again in a few moments.", "audio/mpeg", "plain text"),
        ("Ungültige Anfrage".encode(), "text/plain", "plain text"),
        ("Ungültige".encode()[:4], "text/plain", "plain text"),
    ],
)
def test_documents_are_not_sound(head: bytes, content_type: str, expected: str) -> None:
    found = not_sound(head, content_type)
    assert found is not None
    assert found.startswith(expected)


@pytest.mark.parametrize(
    ("head", "content_type"),
    [
        (WAV, "text/html"),
        (bytes(100), "text/html; charset=utf-8"),
        (b"<h\x00\x01" * 10, "audio/pcm"),
        (b'{"' * 3 + b"\xff\x00" * 20, "application/json"),
        (b"zz" * 100, "audio/pcm"),
        (struct.pack("<8h", *range(0x6161, 0x6169)), "application/octet-stream"),
        (MP3, "text/plain"),
    ],
)
def test_sound_is_not_refused_for_its_label_or_a_few_letters(head: bytes, content_type: str) -> None:
    assert not_sound(head, content_type) is None


def test_the_excerpt_is_one_printable_line_of_at_most_120_letters() -> None:
    found = not_sound(b"<html>\r\n\t" + b"very long " * 300, "text/html")
    assert found is not None
    excerpt = found.removeprefix("HTML: ")
    assert excerpt.isprintable()
    assert len(excerpt.strip("'")) == 120


@pytest.mark.parametrize(
    ("kind", "at"),
    [(AudioFormat.FLAC, 4), (AudioFormat.FLAC, 7), (AudioFormat.OPUS, 4), (AudioFormat.OPUS, 30)],
)
def test_a_header_behind_which_nothing_can_be_decoded_is_no_sound(kind: AudioFormat, at: int) -> None:
    head = bytearray(encode(Frame(data=b"\1\0" * 4_800, format=SPEECH), kind)[:64])
    assert not_sound(bytes(head), "") is None
    head[at] ^= 0x5A
    assert "damaged header" in (not_sound(bytes(head), "") or "")


@pytest.mark.spec("BAT-24")
@pytest.mark.parametrize(
    ("head", "found"),
    [
        (gzip.compress(b'{"error": "x"}', mtime=0), "gzip"),
        (b"\x89PNG\r\n\x1a\n\0\0", "PNG"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "JPEG"),
        (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3", "PDF"),
        (b"PK\x03\x04\x14\0\0\0\x08\0", "ZIP"),
        ("\ufeff<html>".encode("utf-16-le"), "UTF-16"),
        ("<html><title>Ung\xfcltig</title>".encode("latin-1"), "HTML"),
        ('{"fehler": "ung\xfcltig"}'.encode("latin-1"), "JSON"),
    ],
)
@pytest.mark.parametrize("content_type", ["", "audio/pcm"])
def test_files_and_pages_of_other_kinds_are_no_sound(head: bytes, found: str, content_type: str) -> None:
    assert found in (not_sound(head, content_type) or "")
