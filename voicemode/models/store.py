"""The folder of installed models: which are there, what each is made of, what has been measured of it.

models/kitten-nano-en/               one model; whole, or not there
    model.fp16.onnx …                its files, as the archive calls them
    voicemode.json                   what it is
    measured.json                    how fast it is here, and with how many threads
models/.parts/…                      downloads that are not done yet
models/checksums.json                of archives for which nobody has published one: that of the first download
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from voicemode.errors import ModelError
from voicemode.machine.private_files import make_folder, open_file
from voicemode.models.model import ROLES, TAIL_SECONDS, Family, Model, Speaker

MANIFEST, MEASURED = "voicemode.json", "measured.json"
PARTS = ".parts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """`threads` is what was chosen; `factor` is working time over the length of the sound (below 1 is faster than it is
    heard); `first_seconds` until the first sound of a short clause, or until the words after a recording of 3 s."""

    threads: int
    factor: float
    first_seconds: float
    cores: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """A model on this machine. `files` are absolute, by role."""

    id: str
    family: Family
    folder: Path
    files: dict[str, Path]
    speakers: tuple[Speaker, ...] = ()
    languages: tuple[str, ...] = ()
    tail_seconds: float = TAIL_SECONDS

    @property
    def speaks(self) -> bool:
        return self.family is not Family.ZIPFORMER

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())


class Store:
    """The models of one folder. Everything here reads or writes files: not for the event loop."""

    def __init__(self, folder: Path, catalogue: tuple[Model, ...] | None = None) -> None:
        """`catalogue` None is what can be had."""
        self.folder = folder
        self._catalogue = catalogue

    @property
    def catalogue(self) -> tuple[Model, ...]:
        if self._catalogue is None:
            from voicemode.models.catalogue import CATALOGUE

            self._catalogue = CATALOGUE
        return self._catalogue

    @property
    def parts(self) -> Path:
        return self.folder / PARTS

    def installed(self) -> list[Installed]:
        """In the catalogue's order."""
        if not self.folder.is_dir():
            return []
        return [found for model in self.catalogue if (found := self.get(model)) is not None]

    def get(self, model: Model) -> Installed | None:
        """None where it is not installed, or one of its files is not there any more."""
        folder = self.folder / model.id
        if not (folder / MANIFEST).is_file():
            return None
        files = {role: folder / name for role, name in model.files.items()}
        if not all(path.is_file() for path in files.values()):
            return None
        return Installed(
            id=model.id,
            family=model.family,
            folder=folder,
            files=files,
            speakers=model.speakers,
            languages=model.languages,
            tail_seconds=model.tail_seconds,
        )

    def place(self, unpacked: Path, model: Model, *, sha256: str, url: str) -> None:
        """From here on it is there: one rename, over what was there before."""
        note = {"model": model.id, "licence": model.licence, "from": url, "sha256": sha256}
        write_private(unpacked / MANIFEST, json.dumps(note, indent=1))
        target, old = self.folder / model.id, self.parts / f"{model.id}.old"
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        unpacked.rename(target)
        shutil.rmtree(old, ignore_errors=True)

    def remove(self, model: Model) -> bool:
        """Also what is left of a download. False where there was nothing."""
        target, gone = self.folder / model.id, self.parts / f"{model.id}.removed"
        there = [path for path in (target, self.part(model)) if path.exists()]
        try:
            if target.exists():
                make_folder(self.parts)
                shutil.rmtree(gone, ignore_errors=True)
                target.rename(gone)
                shutil.rmtree(gone)
            self.part(model).unlink(missing_ok=True)
        except OSError as error:
            raise ModelError(
                f"{model.id} cannot be removed: {error.strerror or error}.", hint=f"Delete {target} by hand."
            ) from error
        return bool(there)

    def part(self, model: Model) -> Path:
        """Where its archive grows while it is fetched."""
        return self.parts / f"{model.archive}.part"

    # Checksums of the first download, where nobody has published one.

    def known_checksum(self, model: Model) -> str:
        return model.sha256 or str(_read(self.folder / "checksums.json").get(model.archive, ""))

    def keep_checksum(self, model: Model, sha256: str) -> None:
        path = self.folder / "checksums.json"
        write_private(path, json.dumps({**_read(path), model.archive: sha256}, indent=1))


def measured(model: Installed) -> Measured | None:
    """What was measured here; None where nothing was, or on another machine."""
    found = _read(model.folder / MEASURED)
    try:
        numbers = {name: float(str(found[name])) for name in ("threads", "factor", "first_seconds", "cores")}
        value = Measured(
            threads=int(numbers["threads"]),
            factor=numbers["factor"],
            first_seconds=numbers["first_seconds"],
            cores=int(numbers["cores"]),
        )
    except (KeyError, ValueError):
        return None
    return value if value.threads > 0 and value.cores == os.cpu_count() else None


def keep_measured(model: Installed, value: Measured) -> None:
    """A folder that nobody may write to keeps nothing, and is measured again."""
    with suppress(OSError):
        write_private(model.folder / MEASURED, json.dumps(asdict(value)))


def write_private(path: Path, text: str) -> None:
    """Whole or not at all."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(open_file(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)


def _read(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


# Folders that a user names.


def at(folder: Path) -> Installed:
    """A model that somebody has put into a folder, known by its files. Raises `ModelError`."""
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise ModelError(
            f"The model folder {folder} cannot be read: {error.strerror or error}.",
            hint="Name a folder with a model in it, or a model of `voicemode models`.",
        ) from error
    files = _by_role(folder, names)
    family = _family(files)
    if family is None:
        raise ModelError(
            f"The folder {folder} holds no model that is known here.",
            hint="A voice is an .onnx file with tokens.txt (and voices.bin for kokoro and kitten); an ear is encoder, "
            "decoder and joiner with tokens.txt.",
        )
    from voicemode.models.catalogue import CATALOGUE

    known = next((model for model in CATALOGUE if model.family is family and _same_files(model, names)), None)
    return Installed(
        id=folder.name,
        family=family,
        folder=folder,
        files={role: files[role] for role in ROLES[family]},
        speakers=known.speakers
        if known
        else (Speaker(id=folder.name),)
        if family is not Family.ZIPFORMER
        else (),
        languages=known.languages if known else (),
        tail_seconds=known.tail_seconds if known else TAIL_SECONDS,
    )


def _by_role(folder: Path, names: list[str]) -> dict[str, Path]:
    """int8 before full precision: smaller and faster on a processor."""
    onnx = sorted(
        (name for name in names if name.endswith(".onnx")), key=lambda name: ("int8" not in name, name)
    )
    files: dict[str, Path] = {}
    for name in onnx:
        role = next((each for each in ("encoder", "decoder", "joiner") if name.startswith(each)), "model")
        files.setdefault(role, folder / name)
    for role, name in (("tokens", "tokens.txt"), ("voices", "voices.bin")):
        if name in names:
            files[role] = folder / name
    return files


def _family(files: dict[str, Path]) -> Family | None:
    if all(role in files for role in ROLES[Family.ZIPFORMER]):
        return Family.ZIPFORMER
    if all(role in files for role in ROLES[Family.KOKORO]):
        return Family.KITTEN if _mentions(files["model"], b"kitten-tts") else Family.KOKORO
    if all(role in files for role in ROLES[Family.PIPER]):
        return Family.PIPER
    return None


def _mentions(path: Path, word: bytes) -> bool:
    """Whether the model's metadata names it; read in place, since a model has hundreds of megabytes."""
    import mmap

    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return data.find(word) >= 0
    except (OSError, ValueError):
        return False


def _same_files(model: Model, names: list[str]) -> bool:
    return model.family is Family.PIPER and set(model.files.values()) <= set(names)
