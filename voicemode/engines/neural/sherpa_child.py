"""The program of a neural model's own process: sherpa-onnx behind a pipe.

It is run by file name with `-I -S` and imports nothing of this package. A model that cannot be read makes sherpa-onnx
call `exit`, a model at work takes every core it is given and hundreds of megabytes: here none of that is the server's.
Messages are those of the embedded voice: one byte of kind, four bytes of length (big-endian), the payload.

    in   S  {"pieces": [[code points], …], "speaker": n, "speed": x}     say them, one after the other
         T  {"as": n, "after": n, "terms": [words, …], "tail": seconds}, NUL, s16le mono samples at 16 kHz
                                             understand them, as number `as`; with `after` they go on where those ended
         C                                   never mind: stop after the piece or chunk at hand
    out  H  {"rate": Hz}                     model loaded
         A  s16le mono samples
         E                                   the end of an S
         R  {"text", "confidence", "words": [[word, start, end], …] or null}     the end of a T
         X  what went wrong, or that it was stopped    also the end of either

The end of its input ends the process, even in the middle of work.
"""

import json
import math
import os
import queue
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

PIECE_BYTES = 8192
WHOLE = 32768.0
RATE = 16_000
CHUNK_SECONDS = 0.5
"""Of a recording, between two looks at whether anybody still wants it."""
TERM_SCORE = 2.0
"""How much each token of a key term is favoured; sherpa-onnx's own default is 1.5."""
WORD_BEGINS = "\u2581"
TOKEN_SECONDS = 0.2
"""When a token begins is known, not when it ends: with the next word's first one, or so long after its beginning."""
NO_LETTERS = ("<blk>", "<eps>", "<sos/eos>", "<unk>")


def _write(out: int, kind: bytes, payload: bytes = b"") -> None:
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


class _Stopped(Exception):
    pass


class _Requests:
    """Read in a thread of their own, so that a `C` and the end of the input are seen at any time."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._stopped = threading.Event()

    def listen(self) -> None:
        while True:
            header = _read(5)
            payload = _read(int.from_bytes(header[1:], "big"))
            if header[:1] == b"C":
                self._stopped.set()
            else:
                # Nobody asks before the last answer has ended, so what was to be stopped has been.
                self._stopped.clear()
                self._queue.put(payload)

    def next(self) -> bytes:
        return self._queue.get()

    def look(self) -> None:
        if self._stopped.is_set():
            raise _Stopped


class _Voice:
    def __init__(self, sherpa: Any, family: str, files: dict[str, str], threads: int) -> None:
        kinds = {
            "piper": ("vits", sherpa.OfflineTtsVitsModelConfig),
            "kokoro": ("kokoro", sherpa.OfflineTtsKokoroModelConfig),
            "kitten": ("kitten", sherpa.OfflineTtsKittenModelConfig),
        }
        name, configure = kinds[family]
        model = sherpa.OfflineTtsModelConfig(**{name: configure(**files)}, num_threads=threads)
        self._sherpa = sherpa
        self._tts = sherpa.OfflineTts(sherpa.OfflineTtsConfig(model=model))
        self.rate = int(self._tts.sample_rate)

    def answer(self, payload: bytes, requests: _Requests, out: int) -> None:
        import numpy

        asked = json.loads(payload)
        for piece in asked["pieces"]:
            requests.look()
            how = self._sherpa.GenerationConfig()
            how.sid, how.speed = asked["speaker"], asked["speed"]
            # Pauses as the model makes them: by default long ones are cut to a fifth.
            how.silence_scale = 1.0
            how.phoneme_codepoints = [piece]
            samples = numpy.asarray(self._tts.generate("", how).samples, "float32")
            if not numpy.isfinite(samples).all():
                raise ValueError("the model made something that is no sound")
            data = (samples.clip(-1.0, 1.0) * (WHOLE - 1)).astype("<i2").tobytes()
            for start in range(0, len(data), PIECE_BYTES):
                requests.look()
                _write(out, b"A", data[start : start + PIECE_BYTES])
        _write(out, b"E")


class _Ear:
    rate = RATE

    def __init__(self, sherpa: Any, files: dict[str, str], threads: int) -> None:
        symbols = _symbols(files["tokens"])
        self._letters = set("".join(symbols))
        self._upper = not any(letter.islower() for symbol in symbols for letter in symbol)
        with tempfile.TemporaryDirectory(prefix="voicemode-") as folder:
            # A byte-pair vocabulary ranks its pieces by their number; only that order counts where a key term is cut.
            vocabulary = Path(folder, "bpe.vocab")
            ranked = "".join(f"{symbol}\t{-number}\n" for number, symbol in enumerate(symbols))
            vocabulary.write_text(ranked, encoding="utf-8")
            self._recogniser = sherpa.OnlineRecognizer.from_transducer(
                **files,
                num_threads=threads,
                decoding_method="modified_beam_search",
                modeling_unit="bpe",
                bpe_vocab=str(vocabulary),
                hotwords_score=TERM_SCORE,
            )
        self._stream: Any = None
        self._number = 0
        """Of what has been decoded last, which can go on."""

    def answer(self, payload: bytes, requests: _Requests, out: int) -> None:
        import numpy

        head, _, sound = payload.partition(b"\0")
        asked = json.loads(head)
        stream, self._stream = self._stream, None
        if not asked["after"]:
            stream = self._recogniser.create_stream(hotwords="/".join(self._known(asked["terms"])))
        elif stream is None or asked["after"] != self._number:
            raise ValueError("there is nothing to go on from")
        samples = numpy.frombuffer(sound, "<i2").astype("float32") / WHOLE
        tail = numpy.zeros(round(asked["tail"] * RATE), "float32")
        step = round(CHUNK_SECONDS * RATE)
        for part in [*(samples[at : at + step] for at in range(0, len(samples), step)), tail]:
            stream.accept_waveform(RATE, part)
            while self._recogniser.is_ready(stream):
                requests.look()
                self._recogniser.decode_stream(stream)
        result = self._recogniser.get_result_all(stream)
        self._stream, self._number = stream, asked["as"]
        sure = math.exp(sum(result.ys_probs) / len(result.ys_probs)) if result.ys_probs else None
        text = result.text.strip()
        # What went on has the tail of its beginning in between.
        words = None if asked["after"] else word_times(text, result.tokens, result.timestamps)
        told = {"text": text, "confidence": sure, "words": words}
        _write(out, b"R", json.dumps(told).encode())

    def _known(self, terms: list[str]) -> list[str]:
        """As the vocabulary writes them; one with a letter that it does not have could only mislead."""
        written = (term.upper() if self._upper else term for term in terms)
        return [term for term in written if "/" not in term and set(term) - {" "} <= self._letters]


def word_times(text: str, tokens: list[str], times: list[float]) -> "list[tuple[str, float, float]] | None":
    """With the seconds where each begins and ends; None where the tokens do not spell the text."""
    found: list[tuple[str, float, float]] = []
    for token, at in zip(tokens, times, strict=False):
        if found and not token.startswith((" ", WORD_BEGINS)):
            word, start, _ = found[-1]
            found[-1] = (word + token, start, at + TOKEN_SECONDS)
        else:
            if found:
                word, start, end = found[-1]
                found[-1] = (word, start, min(end, at))
            found.append((token.lstrip(f" {WORD_BEGINS}"), at, at + TOKEN_SECONDS))
    said = [each for each in found if each[0]]
    return said if [word for word, _, _ in said] == text.split() else None


def _symbols(path: str) -> list[str]:
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    found = [line.rsplit(maxsplit=1)[0] for line in lines if len(line.split()) > 1]
    return [symbol for symbol in found if symbol not in NO_LETTERS]


def main(packages: str, told: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.dup(1)
    os.dup2(2, 1)
    sys.path.append(packages)
    requests = _Requests()
    threading.Thread(target=requests.listen, daemon=True).start()
    how = json.loads(told)
    try:
        import numpy  # noqa: F401  (takes 0.2 s, which the first answer should not pay)
        import sherpa_onnx

        model: _Ear | _Voice
        if how["family"] == "zipformer":
            model = _Ear(sherpa_onnx, how["files"], how["threads"])
        else:
            model = _Voice(sherpa_onnx, how["family"], how["files"], how["threads"])
    except Exception as error:  # a process's edge: whoever started it tells the reason
        _write(out, b"X", f"{type(error).__name__}: {error}".encode())
        return
    _write(out, b"H", json.dumps({"rate": model.rate}).encode())
    while True:
        try:
            model.answer(requests.next(), requests, out)
        except _Stopped:
            _write(out, b"X", b"it was stopped")
        except Exception as error:  # a process's edge, and the next request may go well
            _write(out, b"X", f"{type(error).__name__}: {error}".encode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
