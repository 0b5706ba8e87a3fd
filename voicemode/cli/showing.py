"""The commands that show: voices, variables, and what the doctor found."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from voicemode.cli.exits import DONE, FAILED
from voicemode.cli.streams import show
from voicemode.cli.under_way import UnderWay
from voicemode.machine.terminal import key_terminal

if TYPE_CHECKING:
    from voicemode.app import App
    from voicemode.configuration.config import Config
    from voicemode.doctor import Finding, Section


SHORT_ADVICE = 90
"""Characters that are read again sooner than looked up."""


def add_doctor_options(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--sound",
        action="store_true",
        help="open the microphone for a second, then play a quiet sound and listen to it: whether you are heard, and "
        "whether you can talk over the assistant",
    )
    made.add_argument(
        "--endpoints",
        action="store_true",
        help="measure speech services elsewhere too, in every format (less than a cent at OpenAI)",
    )
    made.add_argument(
        "--report",
        action="store_true",
        help="Markdown to paste into an issue, without secrets, your name or your machine's",
    )


def ask_leave(options: argparse.Namespace, config: Config) -> None:
    """Whether the doctor may play and listen, and whether it may let others work who cost money: who is at the terminal
    is asked, nobody else."""
    if options.json or options.report:
        return
    with key_terminal() as terminal:
        if terminal is None or sys.stdout is None or not sys.stdout.isatty():
            return
    if not options.sound:
        options.sound = _yes(
            "The doctor can open the microphone for a second, then play a short quiet sound and listen to it, to find "
            "out whether you are heard and whether you can talk over the assistant. No sound is kept or sent."
        )
    paid = [each.url for each in config.speech_endpoints() if each.api_key and not each.local]
    if paid and not options.endpoints:
        options.endpoints = _yes(
            "It can have your speech service say six short sentences and understand one, to measure each format: less "
            "than a cent at OpenAI."
        )


def _yes(explained: str) -> bool:
    print(f"{explained}\nMay it? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def show_voices(app: App, options: argparse.Namespace) -> int:
    voices = await app.voices()
    if options.json:
        show(json.dumps([asdict(voice) for voice in voices], ensure_ascii=False, indent=1))
    else:
        width = max((len(voice.id) for voice in voices), default=0)
        for voice in voices:
            show(f"{voice.id:{width}}  {voice.language:8}  {voice.engine}  {voice.name}".rstrip())
    return DONE


async def show_config(app: App, options: argparse.Namespace) -> int:
    rows = app.config.resolved()
    if options.json:
        values = [asdict(row) for row in rows]
        problems = [str(problem) for problem in app.config.problems]
        show(json.dumps({"variables": values, "problems": problems}, ensure_ascii=False, indent=1))
    else:
        for row in rows:
            show(f"{row.name}={row.value}  ({row.source})\n    {row.help}")
        show(f"\nYour file: {app.places.user_file}\nData: {app.places.data}")
    return DONE


async def show_findings(app: App, options: argparse.Namespace) -> int:
    from voicemode.doctor import Allowed, Measure, State, examine

    allowed = Allowed(
        servers=True,
        microphone=options.sound,
        loudspeaker=options.sound,
        measure=Measure.ALL if options.endpoints else Measure.LOCAL,
    )
    findings = []
    lines, under_way = _Lines(), UnderWay()
    try:
        async for finding in examine(app, allowed, doing=lambda what: under_way.show(f"… {what}")):
            findings.append(finding)
            if not options.json and not options.report:
                under_way.end()
                lines.show(finding)
    finally:
        under_way.end()
    failed = any(finding.state is State.FAIL for finding in findings)
    if options.json:
        told = {"doctor": 1, "ok": not failed, "findings": [asdict(finding) for finding in findings]}
        show(json.dumps(told, ensure_ascii=False, indent=1))
    if options.report:
        show(_report(app, findings))
    return FAILED if failed else DONE


class _Lines:
    """Findings for a person, as they come: a heading for each section, and no long advice twice."""

    def __init__(self) -> None:
        self._section: Section | None = None
        self._advised: dict[str, str] = {}

    def show(self, finding: Finding) -> None:
        if finding.section is not self._section:
            show(f"{'' if self._section is None else chr(10)}{finding.section}")
            self._section = finding.section
        show(f"{finding.state:5} {finding.what}: {finding.found}")
        if finding.mend:
            before = self._advised.setdefault(finding.mend, finding.what)
            again = before != finding.what and len(finding.mend) > SHORT_ADVICE
            show(f"      → {f'see {before}, above' if again else finding.mend}")


def _report(app: App, findings: list[Finding]) -> str:
    from voicemode.doctor.report import markdown, person
    from voicemode.machine.settings_files import working_folder

    choices = (*app.config.speech_endpoints(), *app.config.transcription_endpoints())
    hosts = {urlsplit(each.url).hostname or "" for each in choices if not each.local}
    who = person(
        app.environment,
        machine=platform.node(),
        servers=sorted(hosts - {"", "api.openai.com"}),
        project=str(working_folder()),
        secrets=app.config.secrets(),
    )
    return markdown(findings, who)
