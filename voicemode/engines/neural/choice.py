"""Which installed models speak and listen here, as the configuration has it, and why one that is named does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from voicemode.errors import ModelError, VoiceModeError
from voicemode.models.store import Installed, Store, at

NONE = "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """Models in the order in which they are asked. `named`: the first is the one that the configuration names.
    `problem` is why what is named, or installed, cannot be used; empty where all is well."""

    models: tuple[Installed, ...] = ()
    named: bool = False
    problem: str = ""


def packages() -> Path:
    """The folder of the library that models need; only where there are models, somebody asks for it."""
    from voicemode.engines.neural import worker

    return worker.packages()


def chosen_voices(store: Store, name: str, *, library: Callable[[], object] = packages) -> Chosen:
    """`name` is a model of the catalogue, a folder, none, or empty for what is installed. Nothing is ever fetched."""
    return _choose(store, name, True, library)


def chosen_ears(store: Store, name: str, *, library: Callable[[], object] = packages) -> Chosen:
    return _choose(store, name, False, library)


def _choose(store: Store, name: str, speaks: bool, library: Callable[[], object]) -> Chosen:
    if name.lower() == NONE:
        return Chosen()
    models = [each for each in store.installed() if each.speaks == speaks]
    problem = ""
    try:
        if name:
            first = _named(store, name, speaks)
            models = [first, *(each for each in models if each.folder != first.folder)]
    except VoiceModeError as error:
        problem = f"VOICEMODE_NEURAL_{'VOICE' if speaks else 'EAR'} is {name!r}: {error}"
    if models:
        try:
            library()
        except VoiceModeError as error:
            return Chosen(problem=str(error))
    return Chosen(models=tuple(models), named=bool(name) and not problem, problem=problem)


def _named(store: Store, name: str, speaks: bool) -> Installed:
    path = Path(name).expanduser()
    found = at(path) if path.is_absolute() else _installed(store, name)
    if found.speaks != speaks:
        does = "speaks and does not listen" if found.speaks else "listens and does not speak"
        raise ModelError(f"{found.id} {does}.", hint="`voicemode models` tells voices from ears.")
    return found


def _installed(store: Store, name: str) -> Installed:
    from voicemode.models.catalogue import find

    model = find(name, store.catalogue)
    found = store.get(model)
    if found is None:
        raise ModelError(f"{model.id} is not installed.", hint=f"voicemode models install {model.id}")
    return found
