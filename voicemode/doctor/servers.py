"""Who would speak and who would listen, and which of them are ready."""

from __future__ import annotations

from voicemode.doctor.finding import Finding, State
from voicemode.engines.embedded.notes import BETTER_EAR
from voicemode.engines.http_probe import Health
from voicemode.wiring.status import Engines, EngineStatus

BETTER_VOICE = (
    "Start a speech server on port 8880 (`docker run -p 8880:8880 ghcr.io/remsky/kokoro-fastapi-cpu`), "
    "set OPENAI_API_KEY, or name a server in VOICEMODE_TTS_BASE_URLS."
)

ADVICE = {
    Health.UNREACHABLE: "is it running, and does this machine reach it (address, network, proxy, firewall)?",
    Health.KEY_REFUSED: "give it a key that it takes (OPENAI_API_KEY).",
    Health.NOT_SPEECH: "check its address: something else listens there.",
}
"""For a server that somebody named or has a key for: it is wanted, so another one is not the first thing to advise."""

NOT_ASKED = "not asked"
"""The state of a server that nobody has asked."""


def examine_engines(engines: Engines) -> list[Finding]:
    return [
        *chain("speech", engines.speech, BETTER_VOICE),
        *chain("transcription", engines.transcription, BETTER_EAR),
    ]


def chain(what: str, engines: tuple[EngineStatus, ...], better: str) -> list[Finding]:
    """A server that was only looked for is no fault; what counts is that one engine is ready."""
    findings = [
        Finding(
            state=_state(each),
            what=f"{what}: {each.name}",
            found=_found(each),
            mend=_mend(each),
        )
        for each in engines
    ]
    if any(each.state == NOT_ASKED for each in engines):
        return findings
    mend = _advice(engines) or better
    better_than_embedded = any(each.kind != "embedded" and each.state == "ready" for each in engines)
    if not any(each.state == "ready" for each in engines):
        findings.append(Finding(state=State.FAIL, what=what, found="no engine is ready", mend=mend))
    elif not better_than_embedded:
        findings.append(
            Finding(state=State.WARN, what=what, found="only the embedded engine is ready", mend=mend)
        )
    return findings


def _found(engine: EngineStatus) -> str:
    """The rest of what is to be known of an engine is advice, and stands where that belongs."""
    detail = engine.detail.partition(". ")[0].rstrip(".")
    return f"{engine.state}: {detail}" if detail else engine.state


def _mend(engine: EngineStatus) -> str:
    if _state(engine) is not State.WARN:
        return ""
    usual = ADVICE.get(Health(engine.state), "") if engine.state in set(Health) else ""
    return engine.detail.partition(". ")[2] or f"{usual[:1].upper()}{usual[1:]}" or "Install voicemode again."


def _state(engine: EngineStatus) -> State:
    if engine.state == "ready":
        return State.OK
    return State.NOTE if engine.state in (NOT_ASKED, "not running") else State.WARN


def _advice(engines: tuple[EngineStatus, ...]) -> str:
    """What mends the servers that are wanted and do not answer; empty when there is none."""
    return " ".join(
        f"{each.name}: {ADVICE[Health(each.state)]}"
        for each in engines
        if each.kind == "server" and each.state in set(ADVICE)
    )
