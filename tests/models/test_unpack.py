"""Archives that are hostile, damaged or not what they are called."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tests.models.material import ARCHIVE, FILES, archive
from voicemode.errors import ModelError
from voicemode.models.unpack import unpack

pytestmark = pytest.mark.spec("MOD-4")
WANTED = tuple(FILES)


def made(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "some.tar.bz2"
    path.write_bytes(data)
    return path


def with_member(member: tarfile.TarInfo, data: bytes = b"") -> bytes:
    """An archive that begins well and then holds `member`."""
    stream = io.BytesIO()
    member.size = len(data)
    with tarfile.open(fileobj=stream, mode="w:bz2") as tar:
        for name, content in FILES.items():
            one = tarfile.TarInfo(f"m/{name}")
            one.size = len(content)
            tar.addfile(one, io.BytesIO(content))
        tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def link(kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo("m/README.md")
    member.type, member.linkname = kind, "/etc/passwd"
    return member


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../outside"),
        tarfile.TarInfo("/tmp/absolute"),
        tarfile.TarInfo("m/../../outside"),
        tarfile.TarInfo("m\\..\\outside"),
        tarfile.TarInfo("C:evil"),
        link(tarfile.SYMTYPE),
        link(tarfile.LNKTYPE),
        link(tarfile.CHRTYPE),
        link(tarfile.FIFOTYPE),
    ],
    ids=lambda member: f"{member.name} {member.type!r}",
)
def test_an_archive_that_leads_out_of_its_folder_is_refused_whole(
    tmp_path: Path, member: tarfile.TarInfo
) -> None:
    with pytest.raises(ModelError, match="refused"):
        unpack(made(tmp_path, with_member(member)), tmp_path / "to", wanted=WANTED, most_bytes=10_000_000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["some.tar.bz2", "to"]
    assert all(path.is_file() and not path.is_symlink() for path in (tmp_path / "to").iterdir())


def test_a_bomb_is_refused_before_it_bursts(tmp_path: Path) -> None:
    bomb = with_member(tarfile.TarInfo("m/zeros"), bytes(12_000_000))
    with pytest.raises(ModelError, match="unpack to more than"):
        unpack(made(tmp_path, bomb), tmp_path / "to", wanted=WANTED, most_bytes=6_000_000)


def test_an_archive_without_what_is_wanted_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"does not hold tokens\.txt"):
        unpack(
            made(tmp_path, archive({"voice.onnx": b"x"})),
            tmp_path / "to",
            wanted=WANTED,
            most_bytes=10_000_000,
        )


@pytest.mark.parametrize("cut", [0, 3, 10, 1000, len(ARCHIVE) // 2, len(ARCHIVE) - 20])
def test_a_damaged_archive_is_refused_wherever_it_ends(tmp_path: Path, cut: int) -> None:
    with pytest.raises(ModelError, match="refused"):
        unpack(made(tmp_path, ARCHIVE[:cut]), tmp_path / "to", wanted=WANTED, most_bytes=10_000_000)


def test_unpacking_can_be_stopped(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="stopped"):
        unpack(
            made(tmp_path, ARCHIVE),
            tmp_path / "to",
            wanted=WANTED,
            most_bytes=10_000_000,
            go_on=lambda: False,
        )
