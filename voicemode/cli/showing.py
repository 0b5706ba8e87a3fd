"""The commands that show: voices, variables, and what the doctor found."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from voicemode.cli.exits import DONE, FAILED
from voicemode.cli.streams import show
from voicemode.terminal import key_terminal

if TYPE_CHECKING:
    from voicemode.app import App


def may_sound(options: argparse.Namespace) -> bool:
    """Whether the doctor may play and listen: who is at the terminal is asked, nobody else."""
    if options.sound or options.json:
        return bool(options.sound)
    with key_terminal() as terminal:
        if terminal is None or sys.stdout is None or not sys.stdout.isatty():
            return False
    print(
        "The doctor can play a quiet sound of one second and listen to it, to find out whether you can talk over the "
        "assistant. Nothing is recorded or sent.\nMay it? [y/N] ",
        end="",
        flush=True,
    )
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
        values = [{key: str(value) for key, value in asdict(row).items()} for row in rows]
        problems = [str(problem) for problem in app.config.problems]
        show(json.dumps({"variables": values, "problems": problems}, ensure_ascii=False, indent=1))
    else:
        for row in rows:
            show(f"{row.name}={row.value}  ({row.source})\n    {row.help}")
        show(f"\nYour file: {app.places.user_file}\nData: {app.places.data}")
    return DONE


async def show_findings(app: App, options: argparse.Namespace) -> int:
    from voicemode.doctor import Allowed, State, examine

    allowed = Allowed(servers=True, microphone=options.sound, loudspeaker=options.sound)
    findings = []
    section = None
    advised: dict[str, str] = {}
    async for finding in examine(app, allowed):
        findings.append(finding)
        if options.json:
            continue
        if finding.section is not section:
            show(f"{'' if section is None else chr(10)}{finding.section}")
            section = finding.section
        show(f"{finding.state:5} {finding.what}: {finding.found}")
        if finding.mend:
            before = advised.get(finding.mend)
            show(f"      → {finding.mend if before is None else f'see {before}, above'}")
            advised.setdefault(finding.mend, finding.what)
    failed = any(finding.state is State.FAIL for finding in findings)
    if options.json:
        told = {"doctor": 1, "ok": not failed, "findings": [asdict(finding) for finding in findings]}
        show(json.dumps(told, ensure_ascii=False, indent=1))
    return FAILED if failed else DONE
