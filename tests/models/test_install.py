"""Installing a model: over real HTTP that cuts, stalls, redirects, lies and is not there."""

from __future__ import annotations

import asyncio
import hashlib
import stat
from collections import deque
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock

from tests.models.material import ARCHIVE, CATALOGUE, MODEL, SERVED, UNPROVED, WEIGHTS, archive, at_once
from tests.support.contract import comes_true
from tests.support.file_server import FileServer, Manner
from tests.support.speech_server import closed_port
from voicemode.engines.http_download import PATIENCE, fetched
from voicemode.errors import ModelError
from voicemode.models.install import Progress, Step, install
from voicemode.models.model import Model
from voicemode.models.store import Installed, Store

pytestmark = pytest.mark.anyio
QUICK = partial(fetched, limits=replace(PATIENCE, gap_s=0.3))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models", CATALOGUE)


async def installed(
    store: Store, url: str, model: Model = MODEL, seen: list[Progress] | None = None
) -> Installed:
    watch = seen.append if seen is not None else lambda progress: None
    async with asyncio.timeout(20):
        return await install(store, model, fetch=QUICK, mirror=url, watch=watch, pause=at_once)


@pytest.mark.spec("MOD-2")
async def test_a_model_is_fetched_proved_unpacked_and_placed_and_is_the_owners_alone(store: Store) -> None:
    seen: list[Progress] = []
    with FileServer(SERVED) as server:
        there = await installed(store, server.url, seen=seen)
    assert there.files["model"].read_bytes() == WEIGHTS
    assert sorted(path.name for path in there.folder.iterdir()) == [
        "README.md",
        "tokens.txt",
        "voice.onnx",
        "voicemode.json",
    ]
    assert stat.S_IMODE(there.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in there.folder.iterdir()} == {0o600}
    assert not store.part(MODEL).exists()
    assert store.installed() == [there]
    assert [each.step for each in seen if each.step is not Step.FETCHING] == [Step.PROVING, Step.UNPACKING]
    fetching = [each.done for each in seen if each.step is Step.FETCHING]
    assert fetching == sorted(fetching)
    assert fetching[-1] == len(ARCHIVE)


@pytest.mark.spec("MOD-2")
async def test_what_is_installed_is_not_fetched_again(store: Store) -> None:
    with FileServer(SERVED) as server:
        await installed(store, server.url)
        await installed(store, server.url)
        assert len(server.asked) == 1


@pytest.mark.spec("MOD-3")
async def test_a_download_that_is_cut_goes_on_where_it_was_cut(store: Store) -> None:
    with FileServer(SERVED, deque([Manner(cut_after=400_000), Manner(cut_after=300_000)])) as server:
        await installed(store, server.url)
        starts = [int(asked.removeprefix("bytes=").rstrip("-") or 0) for _, asked in server.asked]
    assert len(starts) == 3
    assert starts == sorted(starts)
    assert starts[1] > 0


@pytest.mark.spec("MOD-3")
async def test_one_that_was_stopped_goes_on_from_there_in_the_next_try(store: Store) -> None:
    with FileServer(SERVED, deque([Manner(stall_after=600_000)])) as server:
        calling = asyncio.ensure_future(install(store, MODEL, fetch=fetched, mirror=server.url))
        part = store.part(MODEL)
        await comes_true(lambda: part.exists() and part.stat().st_size >= 500_000)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        kept = store.part(MODEL).stat().st_size
        await installed(store, server.url)
        assert server.asked[1][1] == f"bytes={kept}-"


@pytest.mark.spec("MOD-3")
async def test_a_server_without_ranges_is_asked_for_the_whole_and_nothing_is_doubled(store: Store) -> None:
    manners = deque([Manner(cut_after=700_000), Manner(knows_ranges=False)])
    with FileServer(SERVED, manners) as server:
        there = await installed(store, server.url)
    assert there.files["model"].read_bytes() == WEIGHTS


@pytest.mark.spec("MOD-3")
async def test_a_stall_ends_at_its_limit_and_a_server_that_never_sends_is_given_up(store: Store) -> None:
    with FileServer(SERVED, deque([Manner(stall_after=500_000)])) as server:
        await installed(store, server.url)
    store.remove(MODEL)
    with FileServer(SERVED, deque([Manner(stall_after=0)] * 20)) as server:
        with pytest.raises(ModelError, match="did not send more within") as caught:
            await installed(store, server.url)
        assert caught.value.retryable


@pytest.mark.spec("MOD-4")
async def test_a_wrong_checksum_is_told_with_both_and_the_file_deleted(store: Store) -> None:
    with FileServer(SERVED, deque([Manner(lead=b"XXXX")])) as server:
        with pytest.raises(ModelError, match=MODEL.sha256):
            await installed(store, server.url)
        assert not store.part(MODEL).exists()
        assert store.installed() == []
        await installed(store, server.url)


@pytest.mark.spec("MOD-4")
async def test_where_no_checksum_is_known_the_first_downloads_holds_from_then_on(store: Store) -> None:
    other = archive({"voice.onnx": WEIGHTS[::-1], "tokens.txt": b"a 0\n"})
    with FileServer(SERVED) as server:
        await installed(store, server.url, UNPROVED)
    assert store.known_checksum(UNPROVED) == hashlib.sha256(ARCHIVE).hexdigest()
    store.remove(UNPROVED)
    changed = replace(UNPROVED, bytes=len(other))
    with FileServer({f"/{UNPROVED.path}": other}) as server, pytest.raises(ModelError, match="SHA-256"):
        await installed(store, server.url, changed)


@pytest.mark.spec("MOD-5")
async def test_offline_it_is_said_at_once_with_what_has_come_and_the_ways_out(store: Store) -> None:
    with FileServer(SERVED, deque([Manner(cut_after=500_000)])) as server:
        url = server.url
        one = partial(install, store, MODEL, fetch=fetched, mirror=url)

        async def gone(seconds: float) -> None:
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await one(pause=gone)
    with closed_port() as nobody, pytest.raises(ModelError) as caught:
        await installed(store, nobody)
    told = str(caught.value)
    assert "cannot be reached" in told
    assert "the next try goes on from there" in told
    assert "VOICEMODE_MODELS_MIRROR" in told


@pytest.mark.spec("MOD-5")
@pytest.mark.parametrize(
    ("manner", "says"), [(Manner(status=403), "HTTP 403"), (Manner(status=500), "HTTP 500")]
)
async def test_a_refusal_is_told_in_the_servers_number(store: Store, manner: Manner, says: str) -> None:
    with FileServer(SERVED, deque([manner])) as server, pytest.raises(ModelError, match=says):
        await installed(store, server.url)


@pytest.mark.spec("MOD-5", "MOD-10")
async def test_a_mirror_without_the_archive_is_told_what_it_lacks_and_how_one_is_laid_out(
    store: Store,
) -> None:
    with FileServer({}) as server, pytest.raises(ModelError, match="HTTP 404") as caught:
        await installed(store, server.url)
    assert f"There is no {MODEL.path} there." in caught.value.hint
    assert "asr-models/" in caught.value.hint


@pytest.mark.spec("MOD-5")
async def test_a_page_in_place_of_the_archive_is_not_fetched(store: Store) -> None:
    page = {f"/{MODEL.path}": b"<html>Not here</html>"}
    with FileServer(page) as server, pytest.raises(ModelError, match="has 21 bytes, not the"):
        await installed(store, server.url)


@pytest.mark.spec("MOD-5")
async def test_a_body_without_end_is_cut_at_the_size_that_is_known(store: Store) -> None:
    longer = FileServer({f"/{MODEL.path}": ARCHIVE + bytes(3_000_000)}, deque([Manner(says_length=False)]))
    with longer as server, pytest.raises(ModelError, match="sends more than the"):
        await installed(store, server.url)


@pytest.mark.spec("MOD-6")
async def test_redirects_are_followed_elsewhere_and_not_for_ever(store: Store) -> None:
    with (
        FileServer(SERVED) as other,
        FileServer({}, deque([Manner(to=f"{other.url}/{MODEL.path}")])) as server,
    ):
        await installed(store, server.url)
    store.remove(MODEL)
    with FileServer(SERVED) as server:
        server.manners.extend([Manner(to=f"{server.url}/{MODEL.path}")] * 9)
        with pytest.raises(ModelError, match="redirects more than"):
            await installed(store, server.url)


@pytest.mark.spec("MOD-7")
async def test_without_room_nothing_is_fetched(store: Store) -> None:
    with FileServer(SERVED) as server:
        with pytest.raises(ModelError, match="of disk") as caught:
            await install(store, MODEL, fetch=fetched, mirror=server.url, free_bytes=lambda folder: 1_000_000)
        assert server.asked == []
    assert "VOICEMODE_MODELS_DIR" in caught.value.hint


@pytest.mark.spec("MOD-7")
async def test_a_disk_that_takes_no_more_is_named_and_what_has_come_is_kept(store: Store) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with FileServer(SERVED) as server:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, before[1]))
        try:
            with pytest.raises(ModelError, match="cannot be written") as caught:
                await installed(store, server.url)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert "kept" in caught.value.hint
        kept = store.part(MODEL).stat().st_size
        assert kept > 500_000
        await installed(store, server.url)
        assert server.asked[-1][1] == f"bytes={kept}-"


@pytest.mark.spec("MOD-8")
async def test_two_installers_do_not_write_one_file(store: Store) -> None:
    store.parts.mkdir(parents=True)
    with FileLock(store.parts / f"{MODEL.id}.lock"), FileServer(SERVED) as server:
        with pytest.raises(ModelError, match="another process"):
            await installed(store, server.url)
        assert server.asked == []


@pytest.mark.spec("MOD-2")
async def test_a_model_with_a_missing_file_counts_as_not_installed_and_is_replaced(store: Store) -> None:
    with FileServer(SERVED) as server:
        there = await installed(store, server.url)
        there.files["tokens"].unlink()
        assert store.get(MODEL) is None
        again = await installed(store, server.url)
    assert again.files["tokens"].exists()


@pytest.mark.spec("MOD-9")
async def test_removing_takes_the_model_and_what_is_left_of_a_download(store: Store) -> None:
    with FileServer(SERVED) as server:
        there = await installed(store, server.url)
    store.part(MODEL).write_bytes(b"rest")
    assert store.remove(MODEL)
    assert not there.folder.exists()
    assert not store.part(MODEL).exists()
    assert store.get(MODEL) is None
    assert not store.remove(MODEL)
