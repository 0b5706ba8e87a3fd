"""Archives of strangers, opened without trust: only the files that are wanted, only in the folder, only so large."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath

from voicemode.errors import ModelError
from voicemode.machine.private_files import make_folder, open_file

BLOCK = 1 << 18
MOST_MEMBERS = 20_000
PAPERS = ("LICENSE", "LICENSE.txt", "README.md", "MODEL_CARD")
"""Kept beside the model where the archive has them."""


def unpack(
    archive: Path,
    folder: Path,
    *,
    wanted: Collection[str],
    most_bytes: int,
    go_on: Callable[[], bool] = lambda: True,
) -> None:
    """Puts the `wanted` files of the archive's one folder into `folder`; whatever else it holds is left out.

    An archive with a path that leads out, a link, a device, or more than `most_bytes` in all is refused whole. Raises
    `ModelError`, and `OSError` where the disk fails.
    """
    make_folder(folder)
    missing, total = set(wanted), 0
    try:
        with tarfile.open(archive, "r|*", bufsize=BLOCK) as tar:
            for number, member in enumerate(tar):
                if not go_on():
                    raise ModelError(f"Unpacking {archive.name} was stopped.")
                total += member.size
                if number >= MOST_MEMBERS or total > most_bytes:
                    raise _refused(archive, f"it would unpack to more than {most_bytes // 1_000_000} MB")
                path = PurePosixPath(member.name)
                if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name:
                    raise _refused(
                        archive, f"it holds a path that leads out of its folder ({member.name[:80]!r})"
                    )
                if not (member.isfile() or member.isdir()):
                    raise _refused(archive, f"it holds a link or a device ({member.name[:80]!r})")
                name = path.name
                if member.isfile() and len(path.parts) <= 2 and (name in missing or name in PAPERS):
                    source = tar.extractfile(member)
                    assert source is not None
                    _copy(source.read, folder / name)
                    missing.discard(name)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise _refused(archive, f"it is not a whole archive ({error})") from error
    if missing:
        raise _refused(archive, f"it does not hold {', '.join(sorted(missing))}")


def _copy(read: Callable[[int], bytes], path: Path) -> None:
    descriptor = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with os.fdopen(descriptor, "wb") as file:
        while block := read(BLOCK):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def _refused(archive: Path, why: str) -> ModelError:
    return ModelError(
        f"The archive {archive.name} is refused: {why}.",
        hint="It may be damaged or not what it is called: fetch it again, or from another place.",
    )
