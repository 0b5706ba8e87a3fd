"""What comes in on standard input that the SDK alone would throw away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.types import JSONRPCRequest, jsonrpc_message_adapter
from pydantic import ValidationError

from tests.battery.wire import wire
from tests.live.host import environment
from voicemode.mcp_server.stdio import mended


def refused(line: str) -> ValidationError:
    with pytest.raises(ValidationError) as raised:
        jsonrpc_message_adapter.validate_json(line, by_name=False)
    return raised.value


def request(text: str) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": 7, "method": "ping", "params": {"text": text}})


@pytest.mark.spec("TOOL-19")
@given(
    st.text(),
    st.text(st.characters(categories=["Cs"], min_codepoint=0xD800, max_codepoint=0xDBFF), min_size=1),
    st.text(),
)
def test_a_line_with_halves_of_pairs_is_the_same_line_without_them(
    before: str, halves: str, after: str
) -> None:
    found = mended(refused(request(f"{before}{halves} {after}")))
    assert found is not None
    assert isinstance(found.message, JSONRPCRequest)
    assert (found.message.id, found.message.method) == (7, "ping")
    assert found.message.params == {"text": f"{before} {after}"}


@pytest.mark.spec("TOOL-19")
@pytest.mark.parametrize("line", ["", "junk", "[]", '"text"', "[" * 100_000, '{"jsonrpc": "1.0", "id": 1}'])
def test_what_is_no_message_stays_none(line: str) -> None:
    assert mended(refused(line)) is None


@pytest.mark.anyio
@pytest.mark.spec("TOOL-19")
async def test_half_an_emoji_in_a_message_is_left_out_and_the_rest_is_said(tmp_path: Path) -> None:
    async with wire(environment(None, tmp_path)) as host:
        said = await host.call("speak", message="All well. \ud83d", wait="finished")
    assert said.word("unheard") == "All well."
