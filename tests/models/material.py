"""What the tests of models share: a small catalogue, archives as the release pages have them, a patient installer."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
from collections.abc import Mapping
from dataclasses import replace

from voicemode.models.model import Family, Model, Speaker

WEIGHTS = random.Random(7).randbytes(1_500_000)
FILES = {"voice.onnx": WEIGHTS, "tokens.txt": b"a 0\n"}
FOLDER = "vits-small"


def archive(files: Mapping[str, bytes], *, folder: str = FOLDER) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:bz2") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}" if folder else name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return made.getvalue()


ARCHIVE = archive(
    {**FILES, "README.md": b"Free.", "espeak-ng-data/phontab": b"x" * 5000, "test_wavs/0.wav": b"y" * 5000}
)
MODEL = Model(
    id="small-en",
    family=Family.PIPER,
    path="tts-models/vits-small.tar.bz2",
    bytes=len(ARCHIVE),
    sha256=hashlib.sha256(ARCHIVE).hexdigest(),
    files={"model": "voice.onnx", "tokens": "tokens.txt"},
    licence="MIT",
    languages=("en-US",),
    speakers=(Speaker(id="small"),),
    about="one voice, small",
)
UNPROVED = replace(MODEL, id="unproved-en", sha256="")
CONSENTING = replace(MODEL, id="strict-en", consent="For research only.")
CATALOGUE = (MODEL, UNPROVED, CONSENTING)
SERVED = {f"/{MODEL.path}": ARCHIVE}


async def at_once(seconds: float) -> None:
    """The pause between two tries of someone in a hurry."""
