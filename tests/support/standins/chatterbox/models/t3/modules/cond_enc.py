"""`chatterbox.models.t3.modules.cond_enc`: what the tokens depend on beside the text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class T3Cond:
    """`emotion_adv` is the exaggeration, a tensor of one number there."""

    speaker_emb: Any
    clap_emb: Any = None
    cond_prompt_speech_tokens: Any = None
    cond_prompt_speech_emb: Any = None
    emotion_adv: Any = 0.5
