"""What an application has, as `voicemode bench` measures it: every engine by itself. No server carries it along."""

from __future__ import annotations

from voicemode.app import App
from voicemode.devices.nobody import HeardOnce, open_nobody
from voicemode.engines.first import FirstTranscription
from voicemode.measuring.bench_ports import quietly
from voicemode.measuring.benching import BenchPorts, Listener, Speaker


def bench_ports(app: App, *, sound: bool) -> BenchPorts:
    """Without `sound` nobody hears anything."""
    line_up = app.line_up
    return BenchPorts(
        speakers=tuple(
            Speaker(engine=engine, formats=line_up.formats(engine), costs=line_up.costs(engine))
            for engine in line_up.speakers
        ),
        listeners=tuple(
            Listener(engine=engine, costs=line_up.costs(engine)) for engine in line_up.transcription.engines
        ),
        mouth=app.mouth(),
        ear=app.ear(),
        sink=quietly(app.card.open_sink) if sound else open_nobody,
        heard=sound,
        microphone=HeardOnce,
        first_of=FirstTranscription,
        buffer_seconds=app.config.streaming.buffer_ms / 1000,
        language=app.language,
    )
