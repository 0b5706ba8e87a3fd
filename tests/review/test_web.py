"""Who may see the page, and what the addresses lead to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.review.material import Told, archive, ask, record, write
from tests.turn_story.test_turn_story import GOOD
from voicemode.pcm import LISTENING
from voicemode.review.page_files import NAMES, page_file
from voicemode.review.web import POLICY, review_app

pytestmark = pytest.mark.anyio

TOKEN = "a-token-nobody-knows"
PORT = 5_000
HOST = f"127.0.0.1:{PORT}"
COOKIE = f"voicemode-review-{PORT}={TOKEN}"
PATHS = ("/", "/page/main.js", "/data/rows", "/data/turn", "/data/days", "/sound", "/nothing")


async def get(folder: Path, path: str, query: str = "", **headers: str) -> Told:
    web = review_app(archive(folder), host="127.0.0.1", port=PORT, token=TOKEN)
    return await ask(web, path, query, **headers)


@pytest.mark.spec("REV-7")
@pytest.mark.parametrize("path", PATHS)
async def test_without_the_token_nothing_is_told(tmp_path: Path, path: str) -> None:
    for cookie in (
        "",
        "x=y",
        f"voicemode-review-{PORT}=",
        f"{COOKIE}x",
        f"voicemode-review-1={TOKEN}",
        "a=;;=",
        "\xff",
    ):
        headers = {"cookie": cookie} if cookie else {}
        told = await get(tmp_path, path, host=HOST, **headers)
        assert told.status == 401, cookie
        assert TOKEN.encode() not in told.body
    assert (await get(tmp_path, path, "token=wrong", host=HOST)).status == 401
    if path != "/":
        assert (await get(tmp_path, path, f"token={TOKEN}", host=HOST)).status == 401


@pytest.mark.spec("REV-7")
@pytest.mark.parametrize("path", PATHS)
async def test_foreign_names_and_foreign_pages_are_refused_even_with_the_token(
    tmp_path: Path, path: str
) -> None:
    for host in ("rebound.example", f"rebound.example:{PORT}", "127.0.0.1:1", "127.0.0.1", ""):
        assert (await get(tmp_path, path, host=host, cookie=COOKIE)).status == 421, host
    assert (await get(tmp_path, path, cookie=COOKIE)).status == 421
    for origin in ("http://page.example", "null", f"http://localhost:{PORT}", "http://127.0.0.1"):
        assert (await get(tmp_path, path, host=HOST, cookie=COOKIE, origin=origin)).status == 403, origin
    assert (await get(tmp_path, path, host=HOST, cookie=COOKIE, origin=f"http://{HOST}")).status != 403


@pytest.mark.spec("REV-7")
async def test_the_token_becomes_a_cookie_and_leaves_the_address(tmp_path: Path) -> None:
    first = await get(tmp_path, "/", f"token={TOKEN}", host=HOST)
    assert (first.status, first.headers["location"]) == (303, ["/"])
    (cookie,) = first.headers["set-cookie"]
    assert cookie.startswith(COOKIE)
    assert {"httponly", "samesite=strict", "path=/"} <= {part.strip().lower() for part in cookie.split(";")}
    assert (await get(tmp_path, "/", host=HOST, cookie=cookie.split(";")[0])).status == 200
    assert (await get(tmp_path, "/", host=HOST, authorization=f"Bearer {TOKEN}")).status == 200
    web = review_app(archive(tmp_path), host="127.0.0.1", port=PORT, token=TOKEN)
    assert (await ask(web, "/", method="POST", host=HOST, cookie=COOKIE)).status == 415


@pytest.mark.spec("REV-8", "REV-9")
async def test_every_file_of_the_page_is_served_and_no_other(tmp_path: Path) -> None:
    for name in NAMES - {"index.html"}:
        told = await get(tmp_path, f"/page/{name}", host=HOST, cookie=COOKIE)
        assert (told.status, told.body) == (200, page_file(name))
        assert told.headers["content-security-policy"] == [POLICY]
        assert told.headers["x-content-type-options"] == ["nosniff"]
    for name in ("../web.py", "..%2fweb.py", "/etc/passwd", "web.py", ""):
        assert (await get(tmp_path, f"/page/{name}", host=HOST, cookie=COOKIE)).status == 404


@pytest.mark.spec("REV-9")
def test_no_file_of_the_page_names_an_address_elsewhere() -> None:
    for name in NAMES:
        text = page_file(name).decode().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text, name
        assert "https:" not in text, name
        assert "//" not in text or name.endswith(".js"), name
        assert "</script" not in text or name.endswith(".html"), name
        assert "innerHTML" not in text
        assert "eval(" not in text


@pytest.mark.spec("REV-8")
async def test_a_sound_is_a_number_among_those_of_its_turn(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    data = bytes(range(256)) * 4
    record(tmp_path, kind="tts", turn="t1", data=data, at=100.3)
    told = await get(tmp_path, "/sound", "turn=t1&number=0", host=HOST, cookie=COOKIE)
    assert (told.status, told.headers["content-type"]) == (200, ["audio/wav"])
    assert told.body[44:] == data
    for query in (
        "turn=t1&number=1",
        "turn=t1&number=-1",
        "turn=t1&number=0x0",
        "turn=t1&number=99999999999",
        "turn=../t1&number=0",
        "turn=..%2f..%2ft1&number=0",
        "turn=*&number=0",
        "turn=%00&number=0",
        "turn=&number=0",
    ):
        assert (await get(tmp_path, "/sound", query, host=HOST, cookie=COOKIE)).status == 404, query
    (sound,) = (tmp_path / "recordings").rglob("*.wav")
    hidden = tmp_path / "hidden.wav"
    sound.rename(hidden)
    sound.symlink_to(hidden)
    assert (await get(tmp_path, "/sound", "turn=t1&number=0", host=HOST, cookie=COOKIE)).status == 404


@pytest.mark.spec("REV-1", "REV-2")
async def test_rows_turns_and_days_are_told(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    record(tmp_path, kind="tts", turn="t1", data=LISTENING.silence(160), at=100.3)
    rows = (await get(tmp_path, "/data/rows", host=HOST, cookie=COOKIE)).json
    assert rows["last"] is True
    found = [(row["id"], row["sound"], row["outcome"]) for row in rows["rows"]]
    assert found == [("t1", True, "answered")]
    turn = (await get(tmp_path, "/data/turn", "id=t1", host=HOST, cookie=COOKIE)).json
    assert turn["heard"] == "Deploy now?"
    assert len(turn["events"]) == len(GOOD)
    days = (await get(tmp_path, "/data/days", host=HOST, cookie=COOKIE)).json["days"]
    assert [day["turns"] for day in days] == [1]
    for path, query, status in (
        ("/data/turn", "id=t", 404),
        ("/data/turn", "", 404),
        ("/data/rows", "count=100000", 400),
        ("/data/rows", "from=-1", 400),
    ):
        told = await get(tmp_path, path, query, host=HOST, cookie=COOKIE)
        assert told.status == status
        assert json.loads(told.body)["error"]


async def test_a_websocket_is_closed(tmp_path: Path) -> None:
    web = review_app(archive(tmp_path), host="127.0.0.1", port=PORT, token=TOKEN)
    sent: list[dict[str, object]] = []

    async def send(message: object) -> None:
        sent.append(dict(message))  # type: ignore[call-overload]

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    await web({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
