"""A WAV that grows on disk and can be played at any moment, whatever happens to the process.

While it grows it is called `name.part.wav` and its writer holds a lock on it; at the end it becomes `name.wav`.
The operating system frees the lock of a killed process, and so a later one knows what it may adopt.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path

from voicemode.pcm import Frame, PcmFormat
from voicemode.private_files import open_file
from voicemode.wav import wav_bytes

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


def _lock(file: int) -> bool:
    """Whether this process now holds the file. Without locks (Windows) an open file cannot be renamed by others."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks: better an adopted file than a lost one
    return True


class WavFile:
    """Blocking; one thread at a time. The folder exists. Raises OSError.

    `stem` is the path without `.wav`. A taken name gets `-2`, `-3` and so on.
    """

    def __init__(self, stem: Path, fmt: PcmFormat) -> None:
        self._format = fmt
        self._bytes = 0
        self._patched = 0
        self._path, self._part, file = _new(stem)
        self._file: int | None = file
        try:
            self._write_all(wav_header(fmt, 0))
        except OSError:
            self.abandon()
            raise

    @property
    def path(self) -> Path:
        """Where the finished file will be."""
        return self._path

    def write(self, data: bytes) -> None:
        """Appends whole samples, in pieces small enough for the promise of `PATCHED_EVERY_S`."""
        size = max(self._format.samples(PATCHED_EVERY_S), 1) * self._format.bytes_per_sample
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            self._write_all(piece)
            self._bytes += len(piece)
            if self._bytes - self._patched >= size:
                self._patch()

    def finish(self) -> Path:
        """Closes the file under its final name. Also for a file whose disk is full: what is there stays valid."""
        if self._file is not None:
            try:
                self._patch()
            finally:
                self._close()
                self._part.rename(self._path)
        return self._path

    def abandon(self) -> None:
        """Closes and deletes."""
        self._close()
        with suppress(OSError):
            self._part.unlink()

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

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if self._file is None:
                raise OSError(0, "the recording is closed")
            view = view[os.write(self._file, view) :]

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)


def _new(stem: Path) -> tuple[Path, Path, int]:
    """(final path, path while growing, descriptor) under the first free name."""
    for count in range(1, 1000):
        name = stem.name if count == 1 else f"{stem.name}-{count}"
        path, part = stem.with_name(f"{name}.wav"), stem.with_name(f"{name}{PART}")
        if os.path.lexists(path):
            continue
        try:
            file = open_file(part, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            continue
        if _lock(file) and _is_still(part, file):
            return path, part, file
        os.close(file)
    raise FileExistsError(0, "a thousand recordings of one name", str(stem))


def _is_still(path: Path, file: int) -> bool:
    """False when another process took the new file for a dead one's, before it was locked."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(file))
    except FileNotFoundError:
        return False


def adopt(part: Path) -> Path | None:
    """Finishes what a dead process left: the header is made to agree with the sound that is there.

    None when a living process still writes it, when it is none of ours, or when it holds no sound (it is deleted
    then). Raises OSError.
    """
    file = open_file(part, os.O_RDWR)
    try:
        data = _mend(file) if _lock(file) else None
        # Renamed under the lock; Windows renames no open file, and lets nobody rename one that is being written.
        if os.name != "nt":
            return _settle(part, data)
    finally:
        os.close(file)
    return _settle(part, data)


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


def _settle(part: Path, data: int | None) -> Path | None:
    if data is None:
        return None
    if data == 0:
        part.unlink()
        return None
    path = _free(part.with_name(part.name.removesuffix(PART) + ".wav"))
    part.rename(path)
    return path


def _free(path: Path) -> Path:
    count = 2
    free = path
    while os.path.lexists(free):
        free = path.with_stem(f"{path.stem}-{count}")
        count += 1
    return free


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
