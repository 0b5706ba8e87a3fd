"""The OpenAI package's Realtime client, made in a thread and told what the house wants of a socket."""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from voicemode import __version__
from voicemode.engines.http_endpoint import Endpoint

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.websocket_connection_options import WebSocketConnectionOptions

_CLOSE_S = 0.1
"""The other side's time to say goodbye."""

_LARGEST_EVENT = 1 << 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """What a connection is opened with."""

    client: AsyncOpenAI
    options: WebSocketConnectionOptions


def make_tools(endpoint: Endpoint) -> Tools:
    import httpx2
    import openai
    import openai.resources.realtime.realtime
    import websockets.asyncio.client  # noqa: F401  else loaded in the event loop, at the first connection

    # Loading the machine's certificates takes 10 ms or more; without TLS nothing would ask them.
    context = httpx2.create_ssl_context() if endpoint.secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client = openai.AsyncOpenAI(
        # The client takes no empty key; a server without keys does not look.
        api_key=endpoint.api_key or "none",
        base_url=endpoint.base_url,
        max_retries=0,
        default_headers={"User-Agent": f"voicemode/{__version__}"},
        # Never used: without it the client would load the certificates again, and the proxies.
        http_client=openai.DefaultAsyncHttpxClient(verify=context, trust_env=False),
    )
    return Tools(client=client, options=_socket_options(endpoint, context))


def _socket_options(endpoint: Endpoint, context: ssl.SSLContext) -> WebSocketConnectionOptions:
    """Options of the WebSocket library, of which the OpenAI client's own type names a part."""
    # At its debug level the library logs every header, the key among them.
    quiet = logging.getLogger(f"{__name__}.socket")
    quiet.setLevel(logging.INFO)
    options: dict[str, object] = {
        "max_size": _LARGEST_EVENT,
        "compression": None,
        "close_timeout": _CLOSE_S,
        "logger": quiet,
    }
    if endpoint.secure:
        options["ssl"] = context
    if endpoint.loopback:
        # A proxy cannot reach this machine's own loopback.
        options["proxy"] = None
    return cast("WebSocketConnectionOptions", options)
