"""A WAV that grows on disk and can be played at any moment, whatever happens to the process.

While it grows it is called `name.part.wav`.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from voicemode.machine.private_files import open_file
from voicemode.pcm import Frame, PcmFormat
from voicemode.recording.growing import GrowingFile, lock, settle
from voicemode.sound.wav import wav_bytes

PATCHED_EVERY_S = 0.2
"""Seconds of sound between two corrections of the header: what a killed process may leave beyond it."""

PART = ".part.wav"
HEADER_BYTES = 44
_MOST = 0xFFFFFFFF - HEADER_BYTES


def wav_header(fmt: PcmFormat, data_bytes: int) -> bytes:
    """The 44 bytes before `data_bytes` of s16le sound. A size beyond 4 GiB is written as the largest there is."""
    size = min(data_bytes, _MOST)
    header = bytearray(wav_bytes(Frame(data=b"", format=fmt)))
    struct.pack_into("<I", header, 4, size + HEADER_BYTES - 8)
    struct.pack_into("<I", header, 40, size)
    return bytes(header)


class WavFile(GrowingFile):
    """`stem` is the path without `.wav`."""

    def __init__(self, stem: Path, fmt: PcmFormat) -> None:
        super().__init__(stem.with_name(f"{stem.name}.wav"))
        self._format = fmt
        self._bytes = 0
        self._patched = 0
        try:
            super().write(wav_header(fmt, 0))
        except OSError:
            self.abandon()
            raise

    @staticmethod
    def growing(path: Path) -> Path:
        return path.with_name(path.name.removesuffix(".wav") + PART)

    @property
    def samples(self) -> int:
        """That the file holds; after `finish` also those of a piece that found room only in part."""
        return self._bytes // self._format.bytes_per_sample

    def write(self, data: bytes) -> None:
        """Appends whole samples, in pieces small enough for the promise of `PATCHED_EVERY_S`."""
        size = max(self._format.samples(PATCHED_EVERY_S), 1) * self._format.bytes_per_sample
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            super().write(piece)
            self._bytes += len(piece)
            if self._bytes - self._patched >= size:
                self._patch()

    def finish(self) -> Path:
        if self._file is not None:
            try:
                self._patch()
            finally:
                super().finish()
        return self.path

    def _patch(self) -> None:
        if self._file is None:
            return
        self._bytes = os.lseek(self._file, 0, os.SEEK_END) - HEADER_BYTES
        self._bytes -= self._bytes % self._format.bytes_per_sample
        os.lseek(self._file, 0, os.SEEK_SET)
        # Bytes that exist already: a full disk has room for them.
        os.write(self._file, wav_header(self._format, self._bytes))
        os.lseek(self._file, 0, os.SEEK_END)
        self._patched = self._bytes


def adopt(part: Path) -> Path | None:
    """Finishes what a dead process left: the header is made to agree with the sound that is there.

    None when a living process still writes it, when it is none of ours, or when it holds no sound (it is deleted
    then). Raises OSError.
    """
    path = part.with_name(part.name.removesuffix(PART) + ".wav")
    file = open_file(part, os.O_RDWR)
    try:
        data = _mend(file) if lock(file) else None
        # Renamed under the lock; Windows renames no open file, and lets nobody rename one that is being written.
        if os.name != "nt":
            return settle(part, path, data)
    finally:
        os.close(file)
    return settle(part, path, data)


def _mend(file: int) -> int | None:
    """Bytes of sound in a file that is ours; None when it is not."""
    header = os.read(file, HEADER_BYTES)
    size = os.lseek(file, 0, os.SEEK_END) - HEADER_BYTES
    if size <= 0:
        return 0
    fmt = _format(header)
    if fmt is None:
        return None
    data = size - size % fmt.bytes_per_sample
    os.ftruncate(file, HEADER_BYTES + data)
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, wav_header(fmt, data))
    return data


def _format(header: bytes) -> PcmFormat | None:
    """The format that a header of ours states; None when it is none of ours."""
    if len(header) < HEADER_BYTES or header[:4] != b"RIFF" or header[8:16] != b"WAVEfmt ":
        return None
    channels, rate = struct.unpack_from("<HI", header, 22)
    try:
        fmt = PcmFormat(rate=rate, channels=channels)
    except ValueError:
        return None
    same = wav_header(fmt, 0)
    return fmt if header[16:40] == same[16:40] else None
