"""The program of the embedded ear's own process: pocketsphinx behind a pipe.

The models take 100 MB and decoding takes the interpreter's lock, so both live apart. It is run by file name with
`-I -S` and imports nothing of this package. Messages are those of the embedded voice: one byte of kind, four bytes
of length (big-endian), the payload.

    in   G  a JSGF grammar
         T  0 or 1, then s16le mono samples at 16 kHz    understand them, with 1 also by the grammar
    out  H                                               models loaded
         R  one line per word: search, word, first and last frame (10 ms), log of acoustic score, log of posterior
         X  what went wrong

The end of its input ends the process, even while it is decoding.
"""

import math
import os
import queue
import signal
import sys
import threading

DICTATION, SHORT = "_default", "short"


def _write(out: int, kind: bytes, payload: bytes) -> None:
    data = memoryview(kind + len(payload).to_bytes(4, "big") + payload)
    try:
        while data:
            data = data[os.write(out, data) :]
    except OSError:
        os._exit(0)


def _read(size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            os._exit(0)
        data += more
    return bytes(data)


def _listen(requests: "queue.SimpleQueue[tuple[bytes, bytes]]") -> None:
    """A thread of its own, so that the end of the input is seen at any time."""
    while True:
        header = _read(5)
        requests.put((header[:1], _read(int.from_bytes(header[1:], "big"))))


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -1000.0


class _Sphinx:
    def __init__(self, model: str) -> None:
        from pocketsphinx import Decoder

        self._decoder = Decoder(
            hmm=os.path.join(model, "en-us"),  # noqa: PTH118
            dict=os.path.join(model, "cmudict-en-us.dict"),  # noqa: PTH118
            lm=os.path.join(model, "en-us.lm.bin"),  # noqa: PTH118
            loglevel="FATAL",
        )
        self._means = self._decoder.get_cmn()

    def learn(self, grammar: str) -> None:
        self._decoder.add_jsgf_string(SHORT, grammar)

    def understand(self, search: str, sound: bytes) -> list[str]:
        """The cepstral means are set back, so that what was heard before changes nothing."""
        decoder = self._decoder
        decoder.activate_search(search)
        decoder.set_cmn(self._means)
        decoder.start_utt()
        decoder.process_raw(sound, full_utt=True)
        decoder.end_utt()
        if decoder.hyp() is None:
            return []
        return [
            f"{search}\t{part.word}\t{part.start_frame}\t{part.end_frame}\t{_log(part.ascore)}\t{_log(part.prob)}"
            for part in decoder.seg() or ()
        ]


def main(packages: str, model: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.dup(1)
    os.dup2(2, 1)
    sys.path.append(packages)
    requests: queue.SimpleQueue[tuple[bytes, bytes]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    try:
        sphinx = _Sphinx(model)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        _write(out, b"X", f"{type(error).__name__}: {error}".encode())
        return
    _write(out, b"H", b"")
    while True:
        kind, payload = requests.get()
        try:
            if kind == b"G":
                sphinx.learn(payload.decode())
                continue
            lines = sphinx.understand(SHORT, payload[1:]) if payload[0] else []
            lines += sphinx.understand(DICTATION, payload[1:])
            _write(out, b"R", "\n".join(lines).encode())
        except (RuntimeError, ValueError) as error:
            _write(out, b"X", f"{type(error).__name__}: {error}".encode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
