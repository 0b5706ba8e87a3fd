"""What can be had: each model with its archive, its size, its licence and its voices or language.

Addresses, sizes and checksums are those of the release pages of sherpa-onnx (`tts-models` and `asr-models`). A model
whose checksum nobody has published says so with an empty one: the first download's is kept and holds from then on.
"""

from __future__ import annotations

from collections.abc import Iterable

from voicemode.errors import InvalidRequest
from voicemode.models.model import Family, Model, Speaker
from voicemode.text.similar import similar

_ENGLISH = "a en-US en-us, b en-GB en-gb"
_KOKORO_LANGUAGES = f"{_ENGLISH}, e es es, f fr-FR fr-fr, h hi hi, i it it, p pt-BR pt-br"
"""First letter of a voice's name, its language, and espeak-ng's name for that. Japanese and Chinese voices are left
out: espeak-ng does not read those languages as the model was taught."""

_KOKORO_EN = "af af_bella af_nicole af_sarah af_sky am_adam am_michael bf_emma bf_isabella bm_george bm_lewis"
_KOKORO_1_0 = (
    "af_alloy af_aoede af_bella af_heart af_jessica af_kore af_nicole af_nova af_river af_sarah af_sky am_adam am_echo "
    "am_eric am_fenrir am_liam am_michael am_onyx am_puck am_santa bf_alice bf_emma bf_isabella bf_lily bm_daniel "
    "bm_fable bm_george bm_lewis ef_dora em_alex ff_siwis hf_alpha hf_beta hm_omega hm_psi if_sara im_nicola jf_alpha "
    "jf_gongitsune jf_nezumi jf_tebukuro jm_kumo pf_dora pm_alex pm_santa zf_xiaobei zf_xiaoni zf_xiaoxiao zf_xiaoyi "
    "zm_yunjian zm_yunxi zm_yunxia zm_yunyang em_santa"
)
_KITTEN = " ".join(f"expr-voice-{number}-{sex}" for number in (2, 3, 4, 5) for sex in "mf")


def _kokoro_speakers(names: str) -> tuple[Speaker, ...]:
    known = {letter: rest for letter, *rest in (each.split() for each in _KOKORO_LANGUAGES.split(", "))}
    return tuple(
        Speaker(id=name, number=number, language=known[name[0]][0], espeak=known[name[0]][1])
        for number, name in enumerate(names.split())
        if name[0] in known
    )


def _piper(
    short: str, voice: str, size: int, sha256: str, licence: str, speaker: Speaker, consent: str = ""
) -> Model:
    return Model(
        id=f"piper-{short}",
        family=Family.PIPER,
        path=f"tts-models/vits-piper-{voice}.tar.bz2",
        bytes=size,
        sha256=sha256,
        files={"model": f"{voice}.onnx", "tokens": "tokens.txt"},
        licence=licence,
        languages=(speaker.language,),
        speakers=(speaker,),
        about="one voice, fast",
        consent=consent,
    )


def _kokoro(short: str, archive: str, size: int, sha256: str, names: str, about: str) -> Model:
    speakers = _kokoro_speakers(names)
    return Model(
        id=short,
        family=Family.KOKORO,
        path=f"tts-models/{archive}.tar.bz2",
        bytes=size,
        sha256=sha256,
        files={
            "model": "model.int8.onnx" if "int8" in archive else "model.onnx",
            "voices": "voices.bin",
            "tokens": "tokens.txt",
        },
        licence="Apache-2.0",
        languages=tuple(dict.fromkeys(each.language for each in speakers)),
        speakers=speakers,
        about=about,
    )


def _kroko(language: str, size: int, sha256: str) -> Model:
    return Model(
        id=f"kroko-{language}",
        family=Family.ZIPFORMER,
        path=f"asr-models/sherpa-onnx-streaming-zipformer-{language}-kroko-2025-08-06.tar.bz2",
        bytes=size,
        sha256=sha256,
        files={each: f"{each}.onnx" for each in ("encoder", "decoder", "joiner")} | {"tokens": "tokens.txt"},
        licence="CC-BY-SA-4.0",
        languages=(language,),
        about="ear with capitals and punctuation",
    )


CATALOGUE: tuple[Model, ...] = (
    Model(
        id="kitten-nano-en",
        family=Family.KITTEN,
        path="tts-models/kitten-nano-en-v0_2-fp16.tar.bz2",
        bytes=26_586_708,
        sha256="0345a8a2f4a710cb8f7912c9a731ded8b3e1e69b33a871efa95c2e64651518fe",
        files={"model": "model.fp16.onnx", "voices": "voices.bin", "tokens": "tokens.txt"},
        licence="Apache-2.0",
        languages=("en-US",),
        speakers=tuple(Speaker(id=name, number=number) for number, name in enumerate(_KITTEN.split())),
        about="eight voices, the smallest",
    ),
    _piper(
        "en-ljspeech",
        "en_US-ljspeech-medium",
        67_169_893,
        "3dfb4b759d8be032a4903a9538d128b0fda2a06ab1de6cbc2d93a97e2dd83dba",
        "MIT; voice in the public domain",
        Speaker(id="ljspeech"),
    ),
    _piper(
        "en-lessac",
        "en_US-lessac-medium",
        67_230_653,
        "9e3febfacf0abf4270172d2958bcec246032b7e88efc2720840cc80c93de334e",
        "MIT; voice: Blizzard 2013",
        Speaker(id="lessac"),
        consent="What it was taught with (Blizzard Challenge 2013) is licensed for research, not for business.",
    ),
    _piper(
        "de-thorsten",
        "de_DE-thorsten-medium",
        67_214_254,
        "50487d9c95fdf2191f31d2588569381063ba1591dcd4c7d4bdd30f12b2191714",
        "MIT; voice CC0-1.0",
        Speaker(id="thorsten", language="de-DE", espeak="de"),
    ),
    _piper(
        "fr-siwis",
        "fr_FR-siwis-medium",
        67_207_459,
        "",
        "MIT; voice CC-BY-4.0",
        Speaker(id="siwis", language="fr-FR", espeak="fr-fr"),
    ),
    _kokoro(
        "kokoro-en",
        "kokoro-int8-en-v0_19",
        103_248_205,
        "c9f0dd393615805b0bab050c340834d5e684e732aec91c0e860cd30e982c08bd",
        _KOKORO_EN,
        "eleven voices, natural",
    ),
    _kokoro(
        "kokoro",
        "kokoro-int8-multi-lang-v1_0",
        132_303_094,
        "4c3052abaa60943a341f193888cf6abd68787dae6ab8ae5c925a706caa247e4e",
        _KOKORO_1_0,
        "natural, seven languages",
    ),
    _kokoro(
        "kokoro-full",
        "kokoro-multi-lang-v1_0",
        349_906_910,
        "c5f7e2d2caf082bc1d20fb70334a61d99d20b484500aad32e7cf84c128ea3298",
        _KOKORO_1_0,
        "kokoro at full precision",
    ),
    _kroko("en", 57_267_600, "c8676e5ff9ac2a85296e53ee0fd4d5fb1db6770e7a7647166eeafe349ade6834"),
    _kroko("de", 57_565_698, "9e27b783c20e67b0d0f13a258c1861fce199917c969d9176a438bee38df64962"),
    _kroko("es", 124_394_665, "31b2230a95d23290b308b393da930015a4b2105cb3abb9367aed35f7fcf29cf1"),
    _kroko("fr", 57_220_361, "e6ffd3dc43725cd6c8137b05c739f15607d0df946b9b90eb141e10059efca024"),
    Model(
        id="zipformer-en",
        family=Family.ZIPFORMER,
        path="asr-models/sherpa-onnx-streaming-zipformer-en-2023-06-26.tar.bz2",
        bytes=310_414_022,
        sha256="639e25b578e9e997131402199419c13a941f8e4e198e2da1ce57dbf5cf401282",
        files={
            "encoder": "encoder-epoch-99-avg-1-chunk-16-left-128.int8.onnx",
            "decoder": "decoder-epoch-99-avg-1-chunk-16-left-128.onnx",
            "joiner": "joiner-epoch-99-avg-1-chunk-16-left-128.int8.onnx",
            "tokens": "tokens.txt",
        },
        licence="Apache-2.0",
        languages=("en",),
        about="ear without capitals, quick to answer",
        tail_seconds=0.7,
    ),
)


def find(name: str, models: Iterable[Model] = CATALOGUE) -> Model:
    """Raises `InvalidRequest` with the near choices."""
    wanted = name.strip().lower()
    known = {model.id: model for model in models}
    if wanted in known:
        return known[wanted]
    near = similar(wanted, known, most=3, cutoff=0.5) or list(known)
    raise InvalidRequest(
        f"There is no model {name[:64]!r}.",
        hint=f"Choose one of: {', '.join(near)}. `voicemode models` lists all.",
    )
