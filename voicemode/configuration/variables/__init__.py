"""The table of variables: every field of these parts is a row with its variable, type, default and help line.

A row needs no more than its line to be read, checked, shown and documented; what it changes is up to the flow that is
handed its part.
"""

from __future__ import annotations

from voicemode.configuration.variables.keeping import Debug, FileSettings, LogSettings
from voicemode.configuration.variables.listening import BargeIn, DetectorChoice, ListeningSettings
from voicemode.configuration.variables.services import OPENAI, EndpointSettings, NeuralSettings
from voicemode.configuration.variables.serving import ServerSettings, SpeechServerSettings
from voicemode.configuration.variables.speaking import SoundSettings, SpeechSettings, StreamingSettings

__all__ = [
    "OPENAI",
    "BargeIn",
    "Debug",
    "DetectorChoice",
    "EndpointSettings",
    "FileSettings",
    "ListeningSettings",
    "LogSettings",
    "NeuralSettings",
    "ServerSettings",
    "SoundSettings",
    "SpeechServerSettings",
    "SpeechSettings",
    "StreamingSettings",
]
