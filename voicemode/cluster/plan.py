"""What is to run on the cluster: the `args` of a Serve configuration file, checked before Ray sees any of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from voicemode.engines.chatterbox.model import NAME as CHATTERBOX
from voicemode.engines.voice_cache import MOST_VOICES
from voicemode.errors import ConfigurationError
from voicemode.text.similar import similar

Options = Mapping[str, object]

RAY_OPTIONS = frozenset(
    {
        "autoscaling_config",
        "graceful_shutdown_timeout_s",
        "graceful_shutdown_wait_loop_s",
        "health_check_period_s",
        "health_check_timeout_s",
        "max_constructor_retry_count",
        "max_ongoing_requests",
        "max_replicas_per_node",
        "num_replicas",
        "ray_actor_options",
    }
)
"""Of a deployment, in Ray's words and with Ray's meaning."""

ACTOR_OPTIONS = frozenset({"accelerator_type", "memory", "num_cpus", "num_gpus", "resources", "runtime_env"})
"""Ray takes these inside `ray_actor_options`; here they may also stand beside it."""

LOCAL_OPTIONS = frozenset({"num_cpus", "num_gpus", "object_store_memory", "resources", "temp_dir"})
"""Of the Ray that `voicemode serve --ray` starts where none runs."""

MOST_ONGOING = {CHATTERBOX: 1}
"""Requests that a replica works on at once where the file does not say. One model speaks one text at a time."""
USUAL_ONGOING = 4
MOST_REPLICAS = 4
AIM = 0.7
"""Of what a replica takes: above it Ray starts another one. A replica needs seconds until it speaks, so it has to be
begun before the others are full."""

INGRESS = "ingress"
"""The deployment that clients reach; no engine can be called so."""
INGRESS_ONGOING = 512
"""Streams that one ingress takes from Ray; how many it serves is the server's own to say."""

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_IMPORT_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployed:
    """An engine and its replicas; `deployment` is their name on the cluster.

    `import_path` is a function that makes the engine from the environment; empty: one of voicemode's own, by `name`.
    `voices` are kept warm on a replica (0: loading a voice is no work); `waiting` requests may stand in line beside
    those being spoken; `options` are Ray's.
    """

    name: str
    deployment: str
    import_path: str = ""
    voices: int = 0
    waiting: int = USUAL_ONGOING
    ongoing: int = USUAL_ONGOING
    options: Options = field(default_factory=dict)

    @property
    def may_rest(self) -> bool:
        """While nobody asks there may be no replica."""
        scaling = self.options.get("autoscaling_config")
        return isinstance(scaling, Mapping) and scaling.get("min_replicas") == 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """`settings` are voicemode's variables for every process of the application. Speech engines are in order of
    preference, and so are recognisers; without recognisers the ingress listens as any voicemode does."""

    engines: tuple[Deployed, ...]
    recognisers: tuple[Deployed, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    ingress: Options = field(default_factory=dict)
    local: Options = field(default_factory=dict)


def plan_of(args: Mapping[str, object]) -> Plan:
    """Raises `ConfigurationError` that names the place, the value and what is allowed."""
    _known(args, {"engines", "recognisers", "settings", "ingress", "local"}, "args")
    engines = _deployments(args, "engines")
    if not engines:
        raise ConfigurationError(
            "args.engines names no engine.",
            hint="Name at least one, e.g. `embedded: {}`; `voicemode voices` lists what there is.",
        )
    ingress = _options(_mapping(args, "ingress", "args.ingress"), "args.ingress")
    ingress.setdefault("max_ongoing_requests", INGRESS_ONGOING)
    local = _mapping(args, "local", "args.local")
    _known(local, LOCAL_OPTIONS, "args.local")
    return Plan(
        engines=engines,
        recognisers=_deployments(args, "recognisers"),
        settings=MappingProxyType(_settings(_mapping(args, "settings", "args.settings"))),
        ingress=MappingProxyType(ingress),
        local=MappingProxyType(dict(local)),
    )


def _deployments(args: Options, key: str) -> tuple[Deployed, ...]:
    return tuple(
        _deployed(name, {} if given is None else given, f"args.{key}.{name}", hears=key == "recognisers")
        for name, given in _mapping(args, key, f"args.{key}").items()
    )


def _deployed(name: str, given: object, place: str, *, hears: bool) -> Deployed:
    if not _NAME.fullmatch(name) or name == INGRESS:
        raise ConfigurationError(
            f"{place}: an engine cannot be called {name[:64]!r}.",
            hint="Use letters, digits and _ . : -, and not the name of the ingress.",
        )
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f"{place} is {given!r}; it must be a mapping, {{}} where nothing is to be said."
        )
    options = _options(given, place, {"import_path", "voices", "waiting"})
    ongoing = _number(given, "max_ongoing_requests", place, MOST_ONGOING.get(name, USUAL_ONGOING), least=1)
    options["max_ongoing_requests"] = ongoing
    if "num_replicas" not in options and "autoscaling_config" not in options:
        options["autoscaling_config"] = {
            "min_replicas": 1,
            "max_replicas": MOST_REPLICAS,
            "target_ongoing_requests": AIM * ongoing,
        }
    usual_voices = MOST_VOICES if name == CHATTERBOX else 0
    return Deployed(
        name=name,
        # One name may speak and listen: the embedded voice and the embedded ear have one.
        deployment=f"hearing-{name}" if hears else name,
        import_path=_import_path(given, place),
        voices=_number(given, "voices", place, usual_voices, most=MOST_VOICES),
        waiting=_number(given, "waiting", place, ongoing, most=10_000),
        ongoing=ongoing,
        options=MappingProxyType(options),
    )


def _options(given: Options, place: str, others: Sequence[str] | set[str] = ()) -> dict[str, object]:
    """Ray's options of what is given. `others` are ours, and read elsewhere."""
    _known(given, {*RAY_OPTIONS, *ACTOR_OPTIONS, *others}, place)
    options = {name: value for name, value in given.items() if name in RAY_OPTIONS}
    beside = {name: value for name, value in given.items() if name in ACTOR_OPTIONS}
    if beside:
        options["ray_actor_options"] = {
            **_mapping(given, "ray_actor_options", f"{place}.ray_actor_options"),
            **beside,
        }
    if "num_replicas" in options and "autoscaling_config" in options:
        raise ConfigurationError(
            f"{place} has both num_replicas and autoscaling_config; it must be one of them.",
            hint="num_replicas is for a fixed number.",
        )
    return options


def _settings(given: Options) -> dict[str, str]:
    wrong = [name for name in given if not name.startswith("VOICEMODE_") and name != "OPENAI_API_KEY"]
    if wrong:
        raise ConfigurationError(
            f"args.settings.{wrong[0]} is no variable of voicemode.",
            hint="Other variables of the processes stand in Ray's runtime_env.",
        )
    return {name: _written(value, f"args.settings.{name}") for name, value in given.items()}


def _written(value: object, place: str) -> str:
    """As it would stand in the environment."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list) and all(isinstance(each, str | int | float) for each in value):
        return ",".join(map(str, value))
    raise ConfigurationError(
        f"{place} is {value!r}; it must be a text, a number, true or false, or a list of them."
    )


def _import_path(given: Options, place: str) -> str:
    path = given.get("import_path", "")
    if path != "" and (not isinstance(path, str) or not _IMPORT_PATH.fullmatch(path)):
        raise ConfigurationError(f"{place}.import_path is {path!r}; it must be package.module:function.")
    return str(path)


def _number(
    given: Options, name: str, place: str, default: int, *, least: int = 0, most: int = 100_000
) -> int:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigurationError(
            f"{place}.{name} is {value!r}; it must be a whole number from {least} to {most}."
        )
    return value


def _mapping(given: Options, name: str, place: str) -> Mapping[str, object]:
    value = given.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigurationError(f"{place} is {value!r}; it must be a mapping of names.")
    return value


def _known(given: Options, names: frozenset[str] | set[str], place: str) -> None:
    for name in given:
        if name not in names:
            near = similar(str(name), sorted(names), most=1)
            raise ConfigurationError(
                f"{place}.{name} is unknown; there are {', '.join(sorted(names))}.",
                hint=f"Did you mean {near[0]}?" if near else "",
            )
