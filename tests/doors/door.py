"""The MCP server on fakes, and clients to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from mcp import Client
from mcp.server.mcpserver import MCPServer
from mcp.types import BlobResourceContents, CallToolResult, TextContent, TextResourceContents, Tool

from tests.flows.world import ANSWER, RULES, PatientMicrophone
from tests.support.fakes import (
    WORD,
    FakeEar,
    FakeEcho,
    FakeLoudspeaker,
    FakeMicrophone,
    FakeVoice,
    LoudVad,
    open_passing,
)
from voicemode.app import App
from voicemode.configuration.config import Config
from voicemode.devices.backend import DeviceReport
from voicemode.devices.soundcard import SoundCard
from voicemode.flows.listening import ListeningPorts
from voicemode.flows.speaking import SpeakingPorts
from voicemode.logs.eventlog import EventLog
from voicemode.machine.settings_files import Folders
from voicemode.mcp_server import build_server
from voicemode.mcp_server.opened import given
from voicemode.ports import SttEngine, TtsEngine
from voicemode.recording.recordings import Recordings
from voicemode.wiring.line_up import LineUp

LIMIT_SECONDS = 20.0
LONG = " ".join(["word"] * 60) + "."
SECRET = "sk-a-key-that-nobody-may-see"


class World:
    """The fakes behind an application, each replaceable by a test."""

    def __init__(self, **environment: str) -> None:
        self.environment = {"VOICEMODE_AUDIO_FEEDBACK": "false", **environment}
        self.voice = FakeVoice()
        self.speaker = FakeLoudspeaker()
        self.microphone: FakeMicrophone = PatientMicrophone(ANSWER, self.speaker)
        self.ear = FakeEar("yes please")
        self.rules = RULES
        self.echo: FakeEcho | None = None
        """With one, the user may talk over a message."""

    @property
    def quiet(self) -> bool:
        return not (self.speaker.open or self.microphone.open or self.voice.open)


async def safe() -> bool:
    """Of talking over a message, with the devices of this moment."""
    return True


class FakedLineUp(LineUp):
    def __init__(self, world: World, config: Config, places: Folders) -> None:
        self._world = world
        super().__init__(config, places)

    def _speakers(self) -> list[TtsEngine]:
        return [self._world.voice]

    def _listeners(self) -> list[SttEngine]:
        return [self._world.ear]


class FakedApp(App):
    """The real application with fakes for everything that leaves the process."""

    def __init__(self, world: World, folder: Path, log: EventLog, recordings: Recordings) -> None:
        self._world = world
        data = folder / "data"
        super().__init__(
            config=Config.from_sources(world.environment),
            places=Folders(
                data=data,
                events=log.folder,
                recordings=recordings.folder,
                models=data / "models",
                user_file=data / "voicemode.env",
            ),
            log=log,
            recordings=recordings,
            card=SoundCard(loaders=[]),
        )

    def _line_up(self) -> LineUp:
        return FakedLineUp(self._world, self.config, self.places)

    def mouth(self) -> SpeakingPorts:
        return replace(super().mouth(), open_sink=self._world.speaker, open_decoder=open_passing)

    def ear(self) -> ListeningPorts:
        world = self._world
        ear = replace(super().ear(), open_source=world.microphone, open_vad=LoudVad, rules=world.rules)
        if world.echo is None:
            return ear
        return replace(ear, barge_in=True, proved=safe, open_echo=lambda: world.echo)

    async def devices(self) -> DeviceReport:
        return DeviceReport(library="fake", version="1", devices=(), why_none="There is no sound device.")


class Door:
    """A server on fakes, and clients to it."""

    def __init__(self, world: World, app: FakedApp, era: str) -> None:
        self.world = world
        self.app = app
        self.era = era
        self.server: MCPServer[object] = build_server(given(app))
        self.client = Client(self.server, mode=era)

    async def call(self, tool: str, **arguments: object) -> CallToolResult:
        async with asyncio.timeout(LIMIT_SECONDS):
            return await self.client.call_tool(tool, arguments)

    async def tools(self) -> dict[str, Tool]:
        async with asyncio.timeout(LIMIT_SECONDS):
            return {tool.name: tool for tool in (await self.client.list_tools()).tools}

    async def read(self, uri: str) -> TextResourceContents | BlobResourceContents:
        async with asyncio.timeout(LIMIT_SECONDS):
            (content,) = (await self.client.read_resource(uri)).contents
        return content

    def state(self) -> str:
        calls = self.app.conversation.calls()
        return calls[-1].status().state if calls else ""


@asynccontextmanager
async def door(world: World, folder: Path, era: str, *, log: EventLog | None = None) -> AsyncIterator[Door]:
    """Without a `log` nothing is logged."""
    log = log or EventLog(folder / "events", enabled=False)
    with log, Recordings(folder / "recordings") as recordings:
        app = FakedApp(world, folder, log, recordings)
        try:
            made = Door(world, app, era)
            async with made.client:
                yield made
        finally:
            await app.conversation.close()
    assert world.quiet


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def fields(result: CallToolResult) -> Mapping[str, object]:
    assert not result.is_error, text_of(result)
    content: Mapping[str, object] | None = result.structured_content
    assert content is not None
    return content


def starved(words: int = 20) -> FakeVoice:
    return FakeVoice(gate=asyncio.Semaphore(words), chunk_bytes=2 * WORD)
