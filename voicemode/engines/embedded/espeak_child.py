"""The program of the embedded voice's own process: espeak-ng behind a pipe.

It is run by file name with `-I -S`, so it imports next to nothing and nothing of this package: espeak-ng is
GPL-3, and a process of its own keeps that licence and any crash in C apart from the rest.

Messages both ways are one byte of kind, four bytes of length (big-endian), then the payload:

    in   L                                     list the voices
         P  voice, NUL, text                       how is it pronounced? (UTF-8)
         S  rate(2) pitch(1) range(1) volume(1) voice, NUL, text    say it (UTF-8)
    out  H  sample rate(4)                     ready
         V  one line per voice: kind, language, name, identifier, tab-separated
         I  the phonemes in IPA, a line per clause
         W  milliseconds(4) character(4)           when a word begins in the sound, and where in the text, from 0 on
         A  s16le mono samples, as espeak-ng hands them out
         E                                     the end of an S
         X  what went wrong                    also the end of an S

The end of its input is the end of the process, so it never outlives whoever started it.
"""

import ctypes
import os
import signal
import sys

SYNCHRONOUS = 2
DONT_EXIT = 0x8000
PIECE_MS = 50
"""Length of the pieces espeak-ng hands out; 50 ms of sound take it 0.1 ms."""
CHARS_UTF8 = 1
"""The only flag given with a text: neither SSML (0x10) nor phoneme codes (0x100) are read from it."""
CHARACTER_POSITION = 1
IPA = 2
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4
NO_MORE, WORD = 0, 1
SEED = 1
"""Of what espeak-ng draws at random (breath, flutter), for each text anew: a fresh process gives it equal samples."""


class _Voice(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


class _Event(ctypes.Structure):
    """What espeak-ng tells beside its sound. The last of a row has the type 0."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("number", ctypes.c_uint),
        ("character", ctypes.c_int),
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def _write(out: int, kind: bytes, payload: bytes) -> None:
    """A reader that has gone away ends the process here and now, even inside espeak-ng's callback."""
    data = memoryview(kind + len(payload).to_bytes(4, "big") + payload)
    try:
        while data:
            data = data[os.write(out, data) :]
    except OSError:
        os._exit(0)


def _read(size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            os._exit(0)
        data += more
    return data


class _Espeak:
    def __init__(self, library: str, data: str, out: int) -> None:
        self._library = ctypes.CDLL(library)
        self._out = out
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self.rate = self._library.espeak_Initialize(SYNCHRONOUS, PIECE_MS, data.encode(), DONT_EXIT)
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        if self.rate <= 0:
            raise OSError(f"espeak-ng cannot read its data in {data}")
        self._callback = _Callback(self._piece)
        self._library.espeak_SetSynthCallback(self._callback)

    def _piece(self, samples: int | None, count: int, events: int | None) -> int:
        at = events
        while at:
            event = _Event.from_address(at)
            if event.type == NO_MORE:
                break
            if event.type == WORD and event.milliseconds >= 0 and event.character > 0:
                place = event.milliseconds.to_bytes(4, "big") + (event.character - 1).to_bytes(4, "big")
                _write(self._out, b"W", place)
            at += ctypes.sizeof(_Event)
        if samples and count > 0:
            _write(self._out, b"A", ctypes.string_at(samples, 2 * count))
        return 0

    def _listed(self, spec: bytes) -> list[str]:
        wanted = _Voice()
        text = ctypes.create_string_buffer(spec)
        wanted.languages = ctypes.addressof(text)
        found = self._library.espeak_ListVoices(ctypes.byref(wanted) if spec else None)
        lines = []
        at = 0
        while found[at]:
            voice = found[at].contents
            at += 1
            language = b"" if spec else ctypes.string_at(voice.languages + 1)
            fields = (spec or b"language", language, voice.name, voice.identifier)
            lines.append(b"\t".join(fields).decode("utf-8", "replace"))
        return lines

    def voices(self) -> str:
        return "\n".join(self._listed(b"") + self._listed(b"variant"))

    def _choose(self, voice: bytes) -> None:
        if self._library.espeak_SetVoiceByName(voice):
            raise ValueError(f"espeak-ng has no voice {voice.decode('utf-8', 'replace')}")

    def pronounced(self, payload: bytes) -> bytes:
        voice, _, text = payload.partition(b"\0")
        self._choose(voice)
        clauses = []
        rest = ctypes.c_char_p(text)
        while rest.value:
            # Each call reads one clause and moves `rest` behind it, at last to nowhere.
            clauses.append(self._library.espeak_TextToPhonemes(ctypes.byref(rest), CHARS_UTF8, IPA) or b"")
        return b"\n".join(clauses)

    def say(self, payload: bytes) -> None:
        voice, _, text = payload[5:].partition(b"\0")
        self._choose(voice)
        settings = (
            (RATE, int.from_bytes(payload[:2], "big")),
            (PITCH, payload[2]),
            (RANGE, payload[3]),
            (VOLUME, payload[4]),
        )
        for parameter, value in settings:
            self._library.espeak_SetParameter(parameter, value, 0)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(SEED))
        code = self._library.espeak_Synth(
            text, ctypes.c_size_t(len(text) + 1), 0, CHARACTER_POSITION, 0, CHARS_UTF8, None, None
        )
        if code:
            raise OSError(f"espeak-ng gave up with code {code}")


def main(library: str, data: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.dup(1)
    os.dup2(2, 1)
    try:
        espeak = _Espeak(library, data, out)
    except OSError as error:
        _write(out, b"X", str(error).encode())
        return
    _write(out, b"H", espeak.rate.to_bytes(4, "big"))
    while True:
        header = _read(5)
        payload = _read(int.from_bytes(header[1:], "big"))
        try:
            if header[:1] == b"L":
                _write(out, b"V", espeak.voices().encode())
            elif header[:1] == b"P":
                _write(out, b"I", espeak.pronounced(payload))
            else:
                espeak.say(payload)
                _write(out, b"E", b"")
        except (OSError, ValueError) as error:
            _write(out, b"X", str(error).encode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
