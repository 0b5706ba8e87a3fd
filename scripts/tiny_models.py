"""Tiny models that sherpa-onnx loads and runs like real ones: voices whose every token is a tone, and an ear that knows
the tones again.

The graphs are constructed, not trained, so what comes out can be checked: a phoneme is a tone of its own in the voices,
and the ear writes the letters whose tones it hears. `python -m scripts.tiny_models FOLDER` makes one of each.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
OPSET, IR_VERSION = 17, 9

RATE = 16_000
"""Hz, of voices and ear: what one says the other hears without resampling."""
TONE_SECONDS, GAP_SECONDS = 0.08, 0.04
"""A letter's tone, and the silence after it, so that the ear sees where it ends."""
TOKEN_SECONDS, TOKEN_GAP_SECONDS = 0.02, 0.01
"""The same of a voice's tokens."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"

MEL_BINS = 80
FIRST_BIN, BIN_STEP = 24, 2
"""Tones stand in the middle of every second mel bin, above those too narrow to be told apart in 25 ms."""
STYLE = 4
"""Numbers in a speaker's style; the first one multiplies every frequency."""
SHIFTS = (1.0, 1.25, math.nan)
"""What the three speakers of `kokoro` and `kitten` multiply every frequency by; the last one makes no sound at all."""
LONGEST_TOKENS = 512

BLANK, UNKNOWN, SPACE = 0, 2, 3
CONTEXT = 2
"""Tokens that the ear's decoder looks back on, as in the real ones."""
WINDOW, HOP, SUBSAMPLING = 45, 32, 4
"""Feature frames of 10 ms that the encoder is given and moves on by, as in the real ones, and frames per output."""
LOUD = 8.0
"""How far a tone's bin must stand above the mean of all bins, in natural logarithms of power."""
SHARP = 3.0
"""How much further a bin falls behind than it is behind the loudest: what leaks into a neighbour is no letter."""
SURE = 1.0
"""Factor from that to the logits; the heavier, the less a key term can change."""


def mel_bin_hertz(number: int) -> float:
    """The middle of a mel bin in sherpa-onnx's features: 80 from 20 Hz to 400 Hz below the half of the rate."""
    low, high = (1127.0 * math.log(1.0 + hertz / 700.0) for hertz in (20.0, RATE / 2 - 400.0))
    at = low + (high - low) * (number + 1) / (MEL_BINS + 1)
    return 700.0 * (math.exp(at / 1127.0) - 1.0)


def tone_bin(letter: str) -> int:
    return FIRST_BIN + BIN_STEP * (" " + LETTERS).index(letter)


def hertz(letter: str) -> float:
    """Of a letter's tone, or the space's."""
    return mel_bin_hertz(tone_bin(letter))


@dataclass
class Graph:
    """A graph as it grows: constants are made where they are used."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, value: object, kind: str = "float32") -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(numpy.asarray(value, kind), name))
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        output = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def save(
        self,
        path: Path,
        inputs: Iterable[onnx.ValueInfoProto],
        outputs: Iterable[onnx.ValueInfoProto],
        metadata: Mapping[str, object],
    ) -> None:
        graph = helper.make_graph(self.nodes, path.stem, list(inputs), list(outputs), self.constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        helper.set_model_props(model, {key: str(value) for key, value in metadata.items()})
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())


def tensor(name: str, kind: int, shape: Sequence[int | str | None]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def tokens_file(symbols: Sequence[str]) -> str:
    return "".join(f"{symbol} {number}\n" for number, symbol in enumerate(symbols))


# Voices.


def _tones(graph: Graph, tokens: str, tones: Sequence[float], slowness: str, shift: str) -> str:
    """One tone per token, one after the other: 0 Hz is silence. Gives the name of the samples, flat."""
    second = graph.constant(RATE)
    length = graph.add(
        "Mul", [graph.add("Mul", [graph.constant(TOKEN_SECONDS + TOKEN_GAP_SECONDS), second]), slowness]
    )
    count = graph.add("Cast", [length], to=INT64)
    zero, one = graph.constant(0, "int64"), graph.constant(1, "int64")
    at = graph.add("Cast", [graph.add("Range", [zero, count, one])], to=FLOAT)
    sounding = graph.add("Mul", [graph.add("Mul", [graph.constant(TOKEN_SECONDS), second]), slowness])
    gate = graph.add("Cast", [graph.add("Less", [at, sounding])], to=FLOAT)
    frequencies = graph.add("Mul", [graph.add("Gather", [graph.constant(tones), tokens]), shift])
    column = graph.add("Unsqueeze", [frequencies, graph.constant([2], "int64")])
    angle = graph.add("Mul", [column, graph.add("Mul", [at, graph.constant(2 * math.pi / RATE)])])
    wave = graph.add("Mul", [graph.add("Mul", [graph.add("Sin", [angle]), gate]), graph.constant(0.5)])
    return graph.add("Reshape", [wave, graph.constant([-1], "int64")], "flat")


PHONEMES = "_^$ abdefhijklmnoprstuvwzæðŋɐɑɔəɚɛɜɡɪɹɾʃʊʌʒˈˌːθᵻ!,.:;?"


def phoneme_tones() -> list[float]:
    return [0.0 if symbol in "_^$ ˈˌː!,.:;?" else 400.0 + 100.0 * at for at, symbol in enumerate(PHONEMES)]


WIDTH = 1024


def _burdened(graph: Graph, tokens: str, burden: int) -> str:
    """1.0, after as many products of random weights per token as a real model needs."""
    random = numpy.random.default_rng(7)
    weights = graph.constant(random.normal(0.0, WIDTH**-0.5, (WIDTH, WIDTH)))
    hidden = graph.add("Gather", [graph.constant(random.normal(size=(len(PHONEMES), WIDTH))), tokens])
    for _ in range(burden):
        hidden = graph.add("MatMul", [hidden, weights])
    none = graph.add("Mul", [graph.add("ReduceMean", [hidden], keepdims=0), graph.constant(0.0)])
    return graph.add("Add", [none, graph.constant(1.0)])


def piper(folder: Path, *, burden: int = 0) -> Path:
    """Piper: VITS with espeak-ng's phonemes. With a `burden` it is as slow as a large model."""
    graph = Graph()
    slowness = graph.add("Gather", ["scales", graph.constant(1, "int64")])
    shift = _burdened(graph, "input", burden) if burden else graph.constant(1.0)
    flat = _tones(graph, "input", phoneme_tones(), slowness, shift)
    graph.add("Reshape", [flat, graph.constant([1, 1, -1], "int64")], "output")
    folder.mkdir(parents=True, exist_ok=True)
    graph.save(
        folder / "model.onnx",
        [
            tensor("input", INT64, [1, "tokens"]),
            tensor("input_lengths", INT64, [1]),
            tensor("scales", FLOAT, [3]),
        ],
        [tensor("output", FLOAT, [1, 1, None])],
        {
            "model_type": "vits",
            "sample_rate": RATE,
            "n_speakers": 1,
            "language": "English",
            "comment": "piper",
            "voice": "en-us",
        },
    )
    (folder / "tokens.txt").write_text(tokens_file(list(PHONEMES)), encoding="utf-8")
    return folder


def _styled(folder: Path, style: Sequence[int], metadata: Mapping[str, object]) -> None:
    """Kokoro and Kitten: tokens, a speaker's style, a speed."""
    graph = Graph()
    slowness = graph.add("Div", [graph.constant(1.0), graph.add("Squeeze", ["speed"])])
    shift = graph.add("Gather", [graph.add("Squeeze", ["style"]), graph.constant(0, "int64")])
    flat = _tones(graph, "tokens", phoneme_tones(), slowness, shift)
    graph.add("Identity", [flat], "audio")
    folder.mkdir(parents=True, exist_ok=True)
    graph.save(
        folder / "model.onnx",
        [
            tensor("tokens", INT64, [1, "tokens"]),
            tensor("style", FLOAT, [1, STYLE]),
            tensor("speed", FLOAT, [1]),
        ],
        [tensor("audio", FLOAT, [None])],
        {
            "sample_rate": RATE,
            "n_speakers": len(SHIFTS),
            "has_espeak": 1,
            "voice": "en-us",
            "style_dim": ",".join(map(str, style)),
            **metadata,
        },
    )
    (folder / "tokens.txt").write_text(tokens_file(list(PHONEMES)), encoding="utf-8")
    rows = math.prod(style) // STYLE
    styles = numpy.zeros((len(SHIFTS), rows, STYLE), "float32")
    styles[:, :, 0] = numpy.array(SHIFTS)[:, None]
    (folder / "voices.bin").write_bytes(styles.tobytes())


def kokoro(folder: Path) -> Path:
    _styled(folder, (LONGEST_TOKENS, 1, STYLE), {"model_type": "kokoro", "version": 1})
    return folder


def kitten(folder: Path) -> Path:
    _styled(folder, (1, STYLE), {"model_type": "kitten-tts", "version": 1})
    return folder


# The ear.


def spoken(text: str, *, mix: Mapping[str, float] | None = None) -> bytes:
    """s16le samples at `RATE` of a text in the ear's tones; `mix` gives a character a frequency of its own."""
    at = numpy.arange(round(TONE_SECONDS * RATE)) / RATE
    edge = numpy.minimum(1.0, numpy.minimum(at, at[::-1]) / 0.01)
    gap = numpy.zeros(round(GAP_SECONDS * RATE))
    frequencies = [(mix or {}).get(letter) or hertz(letter) for letter in text]
    parts = [numpy.concatenate([edge * numpy.sin(2 * math.pi * each * at), gap]) for each in frequencies]
    return (numpy.concatenate([gap, *parts]) * 16_000).astype("<i2").tobytes()


ALIKE = "gh"
"""A tone between theirs could be either: a key term decides."""
EAR_SYMBOLS = ("<blk>", "<sos/eos>", "<unk>", "▁", *LETTERS)


def ear(folder: Path, *, capitals: bool = False) -> Path:
    """A streaming zipformer transducer with one layer that does nothing.

    The encoder gives for every 40 ms how far each token's bin stands out; the decoder holds down what was just said, so
    that a tone is written once; the joiner adds both.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _encoder(folder / "encoder.onnx")
    _decoder(folder / "decoder.onnx")
    _joiner(folder / "joiner.onnx")
    symbols = [each.upper() if capitals and each in LETTERS else each for each in EAR_SYMBOLS]
    (folder / "tokens.txt").write_text(tokens_file(symbols), encoding="utf-8")
    return folder


def _states() -> list[tuple[str, int, tuple[int, ...]]]:
    """What a zipformer of one layer carries on from window to window; here it is handed through."""
    return [
        ("cached_key_0", FLOAT, (4, 1, 4)),
        ("cached_nonlin_attn_0", FLOAT, (1, 1, 4, 3)),
        ("cached_val1_0", FLOAT, (4, 1, 4)),
        ("cached_val2_0", FLOAT, (4, 1, 4)),
        ("cached_conv1_0", FLOAT, (1, 4, 1)),
        ("cached_conv2_0", FLOAT, (1, 4, 1)),
        ("embed_states", FLOAT, (1, 128, 3, 19)),
        ("processed_lens", INT64, (1,)),
    ]


def _encoder(path: Path) -> None:
    count = len(EAR_SYMBOLS)
    bins = numpy.zeros((MEL_BINS, count), "float32")
    for at, letter in enumerate(" " + LETTERS):
        bins[tone_bin(letter), SPACE + at] = 1.0
    letters = numpy.zeros(count, "float32")
    letters[SPACE:] = 1.0
    threshold = numpy.full(count, 0.0, "float32")
    threshold[:SPACE] = -100.0
    threshold[BLANK] = LOUD
    graph = Graph()
    steps = HOP // SUBSAMPLING
    first = graph.add("Slice", ["x", *(graph.constant([at], "int64") for at in (0, HOP, 1))])
    grouped = graph.add("Reshape", [first, graph.constant([-1, steps, SUBSAMPLING, MEL_BINS], "int64")])
    mean = graph.add("ReduceMean", [grouped], axes=[2], keepdims=0)
    level = graph.add("ReduceMean", [mean], axes=[2], keepdims=1)
    above = graph.add("MatMul", [graph.add("Sub", [mean, level]), graph.constant(bins)])
    best = graph.add("ReduceMax", [above], axes=[2], keepdims=1)
    behind = graph.add("Mul", [graph.add("Sub", [above, best]), graph.constant(letters * SHARP)])
    scores = graph.add("Add", [graph.add("Add", [above, behind]), graph.constant(threshold)])
    graph.add("Mul", [scores, graph.constant(SURE)], "encoder_out")
    states = _states()
    for name, _, _ in states:
        graph.add("Identity", [name], f"new_{name}")
    graph.save(
        path,
        [tensor("x", FLOAT, ["N", WINDOW, MEL_BINS]), *(tensor(*state) for state in states)],
        [
            tensor("encoder_out", FLOAT, ["N", steps, count]),
            *(tensor(f"new_{name}", kind, shape) for name, kind, shape in states),
        ],
        {
            "model_type": "zipformer2",
            "version": 1,
            "encoder_dims": "4",
            "query_head_dims": "4",
            "value_head_dims": "4",
            "num_heads": "1",
            "num_encoder_layers": "1",
            "cnn_module_kernels": "3",
            "left_context_len": "4",
            "T": WINDOW,
            "decode_chunk_len": HOP,
        },
    )


def _decoder(path: Path) -> None:
    """−100 for the token that came last and the one that sounds like it, 0 for every other."""
    count = len(EAR_SYMBOLS)
    held = numpy.zeros((count, count), "float32")
    numpy.fill_diagonal(held[SPACE:, SPACE:], -100.0)
    one, other = (EAR_SYMBOLS.index(letter) for letter in ALIKE)
    held[one, other] = held[other, one] = -100.0
    graph = Graph()
    last = graph.add("Gather", ["y", graph.constant(CONTEXT - 1, "int64")], axis=1)
    graph.add("Gather", [graph.constant(held), last], "decoder_out")
    graph.save(
        path,
        [tensor("y", INT64, ["N", CONTEXT])],
        [tensor("decoder_out", FLOAT, ["N", count])],
        {"context_size": CONTEXT, "vocab_size": count},
    )


def _joiner(path: Path) -> None:
    count = len(EAR_SYMBOLS)
    graph = Graph()
    graph.add("Add", ["encoder_out", "decoder_out"], "logit")
    graph.save(
        path,
        [tensor("encoder_out", FLOAT, ["N", count]), tensor("decoder_out", FLOAT, ["N", count])],
        [tensor("logit", FLOAT, ["N", count])],
        {"joiner_dim": count},
    )


MAKERS = {"piper": piper, "kokoro": kokoro, "kitten": kitten, "ear": ear}


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m scripts.tiny_models FOLDER", file=sys.stderr)
        return 2
    for name, make in MAKERS.items():
        print(make(Path(arguments[0]) / name))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
