"""`/metrics` for Prometheus: arithmetic on the events of the server, and what stands at the moment."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from voicemode.events import Event, RequestFailed, RequestRefused, SpeechServed, TranscriptServed
from voicemode.speech_server.admission import Admission

__all__ = ["CONTENT_TYPE_LATEST", "Figures"]

FIRST_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 1.0, 2.5, 5.0, 10.0)
TOTAL_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Figures:
    """A registry of its own, so that two servers in one process do not mix."""

    def __init__(self, places: Admission) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self._speech = Counter(
            "voicemode_speech_requests", "Requests for speech.", ["route", "outcome", "engine"], registry=r
        )
        self._sound = Counter("voicemode_speech_seconds", "Sound sent.", ["engine"], registry=r)
        self._first = Histogram(
            "voicemode_first_sound_seconds",
            "Request to first sound sent.",
            ["route"],
            buckets=FIRST_BUCKETS,
            registry=r,
        )
        self._generation = Counter(
            "voicemode_generation_seconds", "Time that engines took.", ["engine"], registry=r
        )
        self._transcoding = Counter(
            "voicemode_transcoding_seconds", "Time in decoders and encoders.", registry=r
        )
        self._breaks = Counter(
            "voicemode_engine_breaks", "Streams of engines that broke off.", ["engine"], registry=r
        )
        self._heard = Counter(
            "voicemode_transcription_requests", "Requests for words.", ["outcome", "engine"], registry=r
        )
        self._heard_seconds = Counter("voicemode_transcribed_seconds", "Sound transcribed.", registry=r)
        self._hearing = Histogram(
            "voicemode_transcription_duration_seconds",
            "Request to last word.",
            buckets=TOTAL_BUCKETS,
            registry=r,
        )
        self._refused = Counter(
            "voicemode_refused_requests", "Requests turned away at the door.", ["status"], registry=r
        )
        self._failed = Counter(
            "voicemode_failed_requests", "Mistakes of the server's own.", ["route"], registry=r
        )
        Gauge("voicemode_active_streams", "Streams being spoken.", registry=r).set_function(
            lambda: places.active
        )
        Gauge(
            "voicemode_waiting_streams", "Streams that wait for the limit to rise.", registry=r
        ).set_function(lambda: places.waiting)
        Gauge("voicemode_stream_limit", "Streams that are let in, as measured.", registry=r).set_function(
            lambda: places.limit
        )

    def watch(self, event: Event) -> None:
        """An `Emit`."""
        match event:
            case SpeechServed():
                self._speech.labels(event.route, event.outcome, event.engine).inc()
                self._sound.labels(event.engine).inc(event.sound)
                self._generation.labels(event.engine).inc(event.generation)
                self._transcoding.inc(event.transcoding)
                self._breaks.labels(event.engine).inc(event.breaks)
                if event.first is not None:
                    self._first.labels(event.route).observe(event.first)
            case TranscriptServed():
                self._heard.labels(event.outcome, event.engine).inc()
                self._heard_seconds.inc(event.seconds)
                self._hearing.observe(event.total)
            case RequestRefused():
                self._refused.labels(str(event.status)).inc()
            case RequestFailed():
                self._failed.labels(event.route).inc()

    def shown(self) -> bytes:
        return generate_latest(self.registry)
