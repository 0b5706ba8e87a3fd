"""`voicemode serve --ray FILE`: the application of a Serve configuration file on this machine, or on the cluster that
RAY_ADDRESS names."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voicemode.cluster.plan import Plan, plan_of
from voicemode.configuration.config import Config
from voicemode.configuration.kinds import is_loopback_host
from voicemode.errors import ConfigurationError, EngineUnavailable
from voicemode.local_http.guard import shown
from voicemode.speech_server.serve import told_by_signals

IMPORT_PATH = "voicemode.cluster:application"
ADDRESS = "RAY_ADDRESS"
LONGEST_FILE_BYTES = 1_000_000
QUIET = {"log_level": "WARNING", "enable_access_log": False}
"""Of Serve's own lines: the server writes one for each request itself."""

INSTALL = "`pip install 'voicemode[ray]'` brings it (not for macOS on Intel)."


@dataclass(frozen=True, kw_only=True, slots=True)
class Application:
    """What one file says: our own plan, and what it says to Ray about the application and its doors."""

    name: str
    route_prefix: str
    plan: Plan
    proxy_location: str
    http_options: Mapping[str, object]
    overridden: bool
    """Whether it also has Ray's own `deployments`, which only Ray's own commands apply."""


def read(path: Path) -> Application:
    """Raises `ConfigurationError`."""
    try:
        import yaml
    except ImportError as error:
        raise EngineUnavailable("Ray is not installed.", engine="ray", hint=INSTALL) from error
    try:
        with path.open("rb") as file:
            given = yaml.safe_load(file.read(LONGEST_FILE_BYTES))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise ConfigurationError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    return application_of(given, str(path))


def application_of(given: object, place: str) -> Application:
    """Raises `ConfigurationError`."""
    applications = given.get("applications") if isinstance(given, Mapping) else None
    if not isinstance(given, Mapping) or not isinstance(applications, list) or not applications:
        raise ConfigurationError(
            f"{place} has no list of applications.", hint="docs/cluster.md shows a whole file."
        )
    ours = [
        each for each in applications if isinstance(each, Mapping) and each.get("import_path") == IMPORT_PATH
    ]
    if len(ours) != 1:
        raise ConfigurationError(
            f"{place} has {len(ours)} applications with import_path {IMPORT_PATH}; it must be one."
        )
    (own,) = ours
    args, http = own.get("args") or {}, given.get("http_options") or {}
    if not isinstance(args, Mapping) or not isinstance(http, Mapping):
        raise ConfigurationError(f"{place}: args and http_options must be mappings.")
    return Application(
        name=str(own.get("name", "voicemode")),
        route_prefix=str(own.get("route_prefix", "/")),
        plan=plan_of(args),
        proxy_location=str(given.get("proxy_location", "EveryNode")),
        http_options=dict(http),
        overridden=bool(own.get("deployments")),
    )


def serve_ray(
    path: Path,
    config: Config,
    environment: Mapping[str, str],
    *,
    host: str | None,
    port: int | None,
    ready: Callable[[str], None],
) -> None:
    """Serves until a signal comes, lets what is being said be said, and takes away what it started. A second signal
    ends it at once. `host` and `port` go before the file's."""
    application = read(path)
    http = dict(application.http_options)
    http["host"] = host or http.get("host") or config.speech_server.host
    http["port"] = http.get("port", config.speech_server.port) if port is None else port
    _check_door(http, application, config)
    settings = {"VOICEMODE_SPEECH_PORT": str(http["port"]), **application.plan.settings}
    plan = replace(application.plan, settings=settings)
    cluster = _Cluster(application.name)
    try:
        cluster.start(environment.get(ADDRESS, ""), plan.local)
        signal.signal(
            signal.SIGTERM, signal.default_int_handler
        )  # Ray's own would leave a stack and no more.
        handle = cluster.run(plan, application, http)
        with suppress(OSError):
            ready(f"http://{shown(str(http['host']))}:{http['port']}{application.route_prefix.rstrip('/')}")
        asyncio.run(_until_told(handle))
    finally:
        cluster.stop()


def _check_door(http: Mapping[str, object], application: Application, config: Config) -> None:
    if application.overridden:
        raise ConfigurationError(
            "The file overrides `deployments`, which only `serve deploy` and `serve run` apply.",
            hint="Write the same words under args.engines, where both look.",
        )
    host = str(http["host"])
    token = application.plan.settings.get("VOICEMODE_HTTP_TOKEN") or config.server.token
    if not token and not is_loopback_host(host):
        raise ConfigurationError(
            f"{host} can be reached by others, and there is no token.",
            hint="Set VOICEMODE_HTTP_TOKEN first, or use 127.0.0.1.",
        )


async def _until_told(handle: Any) -> None:
    told = told_by_signals()
    await told.get()
    draining = asyncio.ensure_future(handle.broadcast("drain").results_async())
    again = asyncio.ensure_future(told.get())
    await asyncio.wait({draining, again}, return_when=asyncio.FIRST_COMPLETED)
    again.cancel()
    draining.cancel()


class _Cluster:
    """Ray as far as this process has started it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._own = False
        self._runs = False

    def start(self, address: str, local: Mapping[str, object]) -> None:
        """Raises `EngineUnavailable`, `ConfigurationError`."""
        try:
            import ray
        except ImportError as error:
            raise EngineUnavailable("Ray is not installed.", engine="ray", hint=INSTALL) from error
        self._own = not address
        options: dict[str, Any] = dict(local) if self._own else {"address": address}
        if "temp_dir" in options:
            options["_temp_dir"] = options.pop("temp_dir")
        if self._own:
            options["include_dashboard"] = False
        try:
            ray.init(logging_level="ERROR", **options)
        except (ConnectionError, ValueError, TypeError, RuntimeError) as error:
            raise ConfigurationError(f"Ray does not start: {error}", hint="See args.local.") from error

    def run(self, plan: Plan, application: Application, http: Mapping[str, object]) -> Any:
        """The handle of the ingress, once every engine is ready. Raises `EngineUnavailable`."""
        from ray import serve
        from ray.serve.exceptions import RayServeException

        from voicemode.cluster.building import build

        try:
            serve.start(
                proxy_location=application.proxy_location, http_options=dict(http), logging_config=QUIET
            )
            self._runs = True
            return serve.run(
                build(plan),
                name=application.name,
                route_prefix=application.route_prefix,
                logging_config=QUIET,
            )
        except (RayServeException, RuntimeError, ValueError, TypeError) as error:
            raise EngineUnavailable(
                f"The application does not start: {error}",
                engine="ray",
                hint="What its replicas said stands above.",
            ) from error

    def stop(self) -> None:
        """What it started: its application; Ray itself, where nobody else runs it."""
        if not self._runs and not self._own:
            return
        import ray
        from ray import serve

        if self._runs and self._own:
            serve.shutdown()
        elif self._runs:
            serve.delete(self._name)
        ray.shutdown()
