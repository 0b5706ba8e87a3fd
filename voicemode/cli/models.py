"""`voicemode models`: what can be had and what is here; fetches, removes and measures it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from voicemode import clock
from voicemode.cli.exits import DONE, FAILED, USAGE
from voicemode.cli.streams import agrees, show

if TYPE_CHECKING:
    from voicemode.app import App
    from voicemode.models.install import Progress
    from voicemode.models.model import Model
    from voicemode.models.store import Installed, Measured

BAR_CHARACTERS = 24
BETWEEN_SECONDS = 0.1
"""Between two pictures of a bar."""


def add_options(made: argparse.ArgumentParser) -> None:
    made.set_defaults(what="list")
    what = made.add_subparsers(metavar="WHAT")

    def action(name: str, explained: str, nargs: str | None = None) -> argparse.ArgumentParser:
        one = what.add_parser(name, help=explained, description=explained)
        # Without a default of its own: the command's own --json stays.
        one.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="for programs")
        if name != "list":
            one.add_argument("model", metavar="NAME", nargs=nargs, help="see `voicemode models`")
        one.set_defaults(what=name)
        return one

    action("list", "what can be had: size, licence, languages, and how fast it is here")
    fetching = action("install", "fetch a model, prove it and measure it")
    fetching.add_argument(
        "--accept-licence", action="store_true", help="agree to what the model's licence asks, where it asks"
    )
    action("remove", "delete a model")
    action("path", "the folder of the models, or of one", "?")
    action("measure", "measure again how fast an installed model is", "?")


async def models(app: App, options: argparse.Namespace) -> int:
    """The command: `options.what` is what is to be done."""
    return await {
        "list": _list,
        "install": _install,
        "remove": _remove,
        "path": _path,
        "measure": _measure,
    }[options.what](app, options)


async def _list(app: App, options: argparse.Namespace) -> int:
    from voicemode.models.store import measured

    here = {each.id: each for each in await asyncio.to_thread(app.line_up.models.store.installed)}
    if options.json:
        told = [
            await asyncio.to_thread(_told, each, here.get(each.id))
            for each in app.line_up.models.store.catalogue
        ]
        show(json.dumps(told, ensure_ascii=False, indent=1))
        return DONE
    for model in app.line_up.models.store.catalogue:
        there = here.get(model.id)
        found = await asyncio.to_thread(measured, there) if there else None
        kind = "voice" if model.speaks else "ear"
        show(f"{model.id:18} {kind:5} {model.bytes / 1e6:4.0f} MB  {model.licence}")
        show(f"    {model.about} ({' '.join(model.languages)}); {_state(model, there, found)}")
    if not here:
        show(
            "\nNone is installed, and none is fetched without being asked for: voicemode models install NAME"
        )
    return DONE


def _told(model: Model, here: Installed | None) -> dict[str, object]:
    from voicemode.models.store import measured

    found = measured(here) if here else None
    return {
        "model": model.id,
        "speaks": model.speaks,
        "about": model.about,
        "languages": model.languages,
        "voices": [each.id for each in model.speakers],
        "licence": model.licence,
        "consent": model.consent,
        "bytes": model.bytes,
        "sha256": model.sha256,
        "url": model.url(),
        "installed": here is not None,
        "folder": str(here.folder) if here else "",
        "measured": asdict(found) if found else None,
        "state": _state(model, here, found),
    }


def _state(model: Model, here: Installed | None, found: Measured | None) -> str:
    if here is None:
        return "not installed"
    if found is None:
        return "installed, not measured yet"
    threads = f"{found.threads} thread{'s' if found.threads > 1 else ''}"
    if model.speaks:
        return (
            f"installed: first sound after {found.first_seconds * 1000:.0f} ms, a second of speech takes "
            f"{found.factor:.2f} s ({threads})"
        )
    return f"installed: a second of recording takes {found.factor:.2f} s ({threads})"


async def _install(app: App, options: argparse.Namespace) -> int:
    from voicemode.engines.http_download import fetched
    from voicemode.models.catalogue import find
    from voicemode.models.install import install

    model = find(options.model, app.line_up.models.store.catalogue)
    there = await asyncio.to_thread(app.line_up.models.store.get, model)
    if there is None:
        url = model.url(app.config.neural.mirror)
        _say(f"{model.id}: {model.bytes / 1e6:.0f} MB, licence {model.licence}, from {url}")
        if model.consent and not options.accept_licence and not await _agreed(model):
            return USAGE
        bar = _Bar(model.id)
        try:
            there = await install(
                app.line_up.models.store,
                model,
                fetch=fetched,
                mirror=app.config.neural.mirror,
                watch=bar.show,
            )
        finally:
            bar.end()
    found = await _measured(app, there)
    if options.json:
        show(json.dumps(_told(model, there), ensure_ascii=False, indent=1))
    else:
        show(f"{model.id}: {_state(model, there, found)}")
        _say("A server that is running uses it when it is started again.")
    return DONE


async def _measured(app: App, model: Installed) -> Measured | None:
    """A model that cannot be tried here is installed all the same, and why is said."""
    from voicemode.errors import EngineError

    _say(f"{model.id}: measuring how fast it is here …")
    try:
        return await app.line_up.models.measure(model)
    except EngineError as error:
        _say(f"{model.id} could not be measured: {error}")
        return None


async def _remove(app: App, options: argparse.Namespace) -> int:
    from voicemode.models.catalogue import find

    model = find(options.model, app.line_up.models.store.catalogue)
    removed = await asyncio.to_thread(app.line_up.models.store.remove, model)
    if options.json:
        show(json.dumps({"model": model.id, "removed": removed}))
    else:
        show(f"{model.id}: removed" if removed else f"{model.id} was not installed")
    return DONE


async def _path(app: App, options: argparse.Namespace) -> int:
    from voicemode.errors import ModelError
    from voicemode.models.catalogue import find

    folder = app.line_up.models.store.folder
    if options.model:
        model = find(options.model, app.line_up.models.store.catalogue)
        there = await asyncio.to_thread(app.line_up.models.store.get, model)
        if there is None:
            raise ModelError(f"{model.id} is not installed.", hint=f"voicemode models install {model.id}")
        folder = there.folder
    show(json.dumps({"folder": str(folder)}) if options.json else str(folder))
    return DONE


async def _measure(app: App, options: argparse.Namespace) -> int:
    from voicemode.errors import ModelError
    from voicemode.models.catalogue import find

    here = await asyncio.to_thread(app.line_up.models.store.installed)
    wanted = find(options.model, app.line_up.models.store.catalogue).id if options.model else ""
    chosen = [each for each in here if not wanted or each.id == wanted]
    if not chosen:
        raise ModelError(
            f"{wanted or 'No model'} is {'not ' if wanted else ''}installed.",
            hint="`voicemode models` lists what can be had.",
        )
    told = []
    failed = False
    for each in chosen:
        found = await _measured(app, each)
        failed = failed or found is None
        model = find(each.id, app.line_up.models.store.catalogue)
        told.append({"model": each.id, "measured": asdict(found) if found else None})
        if not options.json:
            show(f"{each.id}: {_state(model, each, found)}")
    if options.json:
        show(json.dumps(told, indent=1))
    return FAILED if failed else DONE


async def _agreed(model: Model) -> bool:
    """Who is at the terminal is asked; anybody else has to say so beforehand."""
    if sys.stdin is not None and sys.stdin.isatty():
        return await agrees(f"{model.consent} Do you agree?")
    _say(model.consent)
    _say(f"Say that you agree: voicemode models install {model.id} --accept-licence")
    return False


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class _Bar:
    """A line that is drawn again and again at a terminal; elsewhere one line per step."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._terminal = sys.stderr.isatty()
        self._step = ""
        self._drawn = 0.0
        self._begun: tuple[float, int] | None = None

    def show(self, progress: Progress) -> None:
        now = clock.monotonic()
        news = progress.step != self._step
        if news:
            self._step, self._begun = progress.step, (now, progress.done)
        if not self._terminal:
            if news:
                _say(f"{self._name}: {progress.step} …")
            return
        if not news and progress.done < progress.total and now - self._drawn < BETWEEN_SECONDS:
            return
        self._drawn = now
        print(f"\r{self._line(progress, now)}\x1b[K", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._terminal and self._step:
            _say("")

    def _line(self, progress: Progress, now: float) -> str:
        if not progress.done:
            return f"{self._name}: {progress.step} …"
        part = progress.done / progress.total
        full = round(part * BAR_CHARACTERS)
        since, before = self._begun or (now, 0)
        speed = (progress.done - before) / (now - since) / 1e6 if now > since else 0.0
        return (
            f"{self._name} [{'#' * full}{'-' * (BAR_CHARACTERS - full)}] {part:4.0%} "
            f"{progress.done / 1e6:.1f}/{progress.total / 1e6:.1f} MB {speed:.1f} MB/s"
        )
