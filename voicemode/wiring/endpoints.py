"""The endpoints of a configuration, as the engines want them."""

from __future__ import annotations

import logging

from voicemode.configuration.config import Config, EndpointChoice
from voicemode.engines.http_endpoint import Endpoint, Limits
from voicemode.errors import ConfigurationError

logger = logging.getLogger(__name__)


def usable(
    config: Config, choices: tuple[EndpointChoice, ...], voices: tuple[str, ...]
) -> tuple[Endpoint, ...]:
    """The endpoints of a chain; one whose address or key cannot be used is left out and logged."""
    endpoints: list[Endpoint] = []
    for choice in choices:
        try:
            endpoints.append(endpoint_of(config, choice, voices))
        except ConfigurationError as error:
            logger.warning("%s", error)
    return tuple(endpoints)


def endpoint_of(config: Config, choice: EndpointChoice, voices: tuple[str, ...]) -> Endpoint:
    """Raises `ConfigurationError` where the address or the key cannot be used."""
    settings = config.endpoints
    limits = Limits(
        connect_s=settings.connect_s,
        first_byte_s=settings.first_byte_s,
        gap_s=settings.gap_s,
        whole_s=settings.whole_s,
    )
    return Endpoint(
        base_url=choice.url,
        api_key=choice.api_key or "",
        models=choice.models,
        voices=voices,
        limits=limits,
    )
