"""Sound that is not compressed: raw PCM and WAV, played from the first whole sample on."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING

from voicemode.codecs.samples import TO_S16
from voicemode.errors import BadContent
from voicemode.pcm import Frame, PcmFormat

if TYPE_CHECKING:
    from voicemode.codecs.whole import Whole

UNKNOWN_SIZES = (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFE)
"""What writers put into a `data` chunk when they do not know its size yet."""

CHUNK_NAME = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_ ]{3}")
MAX_CHUNK = 1 << 24
"""What stands behind the sound is a chunk when it has a name and less than this; two samples of loud sound look
so once in a million. Anything else there is sound too: its size was written too small."""

EXTENSIBLE = 0xFFFE
WAVES = (b"RIFF", b"RF64", b"BW64")
COMPRESSED = frozenset({0x0002, 0x0011, 0x0031, 0x0050, 0x0055, 0x00FF})
"""Two kinds of ADPCM, GSM, MPEG layers II and III, AAC: decoded at the end, as a whole."""
MAX_FMT = 4096
MAX_HEAD = 1 << 20
"""Bytes that may stand before the format: pictures in tags stand behind the sound."""
MAX_RATE_ERROR = (
    "its header says {rate} Hz and {channels} channels, allowed are 1,000-768,000 Hz and 1-32 channels"
)


class Pcm:
    """Raw s16le bytes in any cuts → frames. A last half sample is dropped."""

    def __init__(self, fmt: PcmFormat) -> None:
        self._format = fmt
        self._rest = b""

    def feed(self, item: bytes) -> list[Frame]:
        data = self._rest + item if self._rest else item
        whole = len(data) - len(data) % self._format.bytes_per_sample
        self._rest = data[whole:]
        return [Frame(data=data[:whole], format=self._format)] if whole else []

    def flush(self) -> list[Frame]:
        return []


class _At(Enum):
    RIFF = auto()
    CHUNK = auto()
    SOUND = auto()
    AFTER = auto()


class Wav:
    """A WAV file parsed while it arrives → frames at its own rate and channels.

    Sizes in the header are taken as hints: a stream's writer does not know them. Chunks other than `fmt ` and `data`
    are skipped wherever they are, and a second WAV right behind the first goes on with its own format.
    """

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._held = bytearray()
        self._at = _At.RIFF
        self._skip = 0
        self._left: int | None = None
        """Bytes of sound still to come by the header; None when it does not say."""
        self._odd = False
        self._long_size: int | None = None
        self._format: PcmFormat | None = None
        self._value_bytes = 2
        self._to_s16: Callable[[bytes], bytes] = bytes
        self._begun = False
        self._head = bytearray()
        """All of it, until its first format is known."""
        self._whole: Whole | None = None

    def feed(self, item: bytes) -> list[Frame]:
        if self._whole is not None:
            return self._whole.feed(item)
        if self._format is None and not self._begun:
            self._head += item
            if len(self._head) > MAX_HEAD:
                raise self._bad(f"a WAV whose format is not in its first {MAX_HEAD:,} bytes")
        self._held += item
        return self._run()

    def flush(self) -> list[Frame]:
        frames = self._run()
        if self._whole is not None:
            return self._whole.flush()
        if not self._begun:
            raise self._bad(f"the WAV ended inside its header, {len(self._held)} bytes are left over")
        pad = self._odd and not self._left and len(self._held) == 1
        if self._at is _At.AFTER and not self._skip and not pad:
            self._left = None
            frames += self._sound()
        return frames

    def _run(self) -> list[Frame]:
        steps = {
            _At.RIFF: self._riff,
            _At.CHUNK: self._chunk,
            _At.SOUND: self._sound,
            _At.AFTER: self._after,
        }
        frames: list[Frame] = []
        while True:
            before = self._at, len(self._held), self._skip
            dropped = min(self._skip, len(self._held))
            del self._held[:dropped]
            self._skip -= dropped
            if not self._skip:
                frames += steps[self._at]()
            if self._whole is not None or (self._at, len(self._held), self._skip) == before:
                return frames

    def _riff(self) -> list[Frame]:
        if len(self._held) >= 12:
            if bytes(self._held[:4]) not in WAVES or self._held[8:12] != b"WAVE":
                raise self._bad(f"no WAV: it begins with {bytes(self._held[:12]).hex(' ')}")
            del self._held[:12]
            self._at = _At.CHUNK
            self._long_size = None
            self._format = None
        return []

    def _chunk(self) -> list[Frame]:
        if len(self._held) < 8:
            return []
        name = bytes(self._held[:4])
        size = int.from_bytes(self._held[4:8], "little")
        if name == b"data":
            self._begin(size)
        elif name in (b"fmt ", b"ds64"):
            if size > MAX_FMT:
                raise self._bad(f"the WAV's {name.decode()!r} chunk claims {size:,} bytes")
            if len(self._held) < 8 + size:
                return []
            body = bytes(self._held[8 : 8 + size])
            if name == b"fmt ":
                self._read_format(body)
            elif size >= 16:
                self._long_size = int.from_bytes(body[8:16], "little")
            self._skip = 8 + size + size % 2
        else:
            self._skip = 8 + size + size % 2
        return []

    def _begin(self, size: int) -> None:
        if self._format is None:
            raise self._bad("the WAV's sound comes before its format")
        if size == 0xFFFFFFFF and self._long_size:
            size = self._long_size
        self._left = None if size in UNKNOWN_SIZES else size
        self._odd = size % 2 == 1
        self._begun = True
        del self._held[:8]
        self._at = _At.SOUND

    def _read_format(self, body: bytes) -> None:
        if len(body) < 16:
            raise self._bad(f"the WAV's 'fmt ' chunk has {len(body)} bytes, at least 16 are needed")
        tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
        if tag == EXTENSIBLE and len(body) >= 26:
            tag = int.from_bytes(body[24:26], "little")
        if tag in COMPRESSED and not self._begun:
            self._hand_over()
            return
        convert = TO_S16.get((tag, (bits + 7) // 8))
        if convert is None:
            raise self._bad(
                f"a WAV of kind 0x{tag:04x} with {bits} bits, known are PCM, float, A-law and µ-law"
            )
        try:
            self._format = PcmFormat(rate=rate, channels=channels)
        except ValueError:
            raise self._bad(MAX_RATE_ERROR.format(rate=rate, channels=channels)) from None
        self._value_bytes, self._to_s16 = (bits + 7) // 8, convert
        self._head.clear()

    def _hand_over(self) -> None:
        from voicemode.codecs.whole import Whole

        self._whole = Whole("wav", self._engine)
        self._whole.feed(bytes(self._head))
        self._head.clear()
        self._held.clear()

    def _sound(self) -> list[Frame]:
        assert self._format is not None
        block = self._value_bytes * self._format.channels
        here = len(self._held) if self._left is None else min(self._left, len(self._held))
        whole = here - here % block
        data = bytes(self._held[:whole])
        del self._held[:whole]
        if self._left is not None:
            self._left -= whole
            if self._left < block:
                self._at = _At.AFTER
        return [Frame(data=self._to_s16(data), format=self._format)] if data else []

    def _after(self) -> list[Frame]:
        """What stands where the header says the sound ends: another chunk, another WAV, or more sound."""
        start = (self._left or 0) + (1 if self._odd else 0)
        if len(self._held) < start + 8:
            return []
        name = bytes(self._held[start : start + 4])
        size = int.from_bytes(self._held[start + 4 : start + 8], "little")
        if name in WAVES:
            del self._held[:start]
            self._left, self._at = 0, _At.RIFF
        elif CHUNK_NAME.fullmatch(name) and size < MAX_CHUNK:
            self._skip = start + 8 + size + size % 2
            self._left, self._odd = 0, False
        else:
            self._left, self._at = None, _At.SOUND
        return []

    def _bad(self, what: str) -> BadContent:
        return BadContent(
            f"{self._engine} sent sound that cannot be read: {what}.",
            engine=self._engine,
            hint="Ask the engine for another format, for example VOICEMODE_TTS_AUDIO_FORMAT=pcm.",
        )
