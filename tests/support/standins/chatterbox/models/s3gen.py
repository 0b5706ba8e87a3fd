"""`chatterbox.models.s3gen`: speech tokens to sound."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

S3GEN_SR = 24_000
TOKENS_PER_SECOND = 25


class S3Gen:
    """`steps` notes what it was called with."""

    def __init__(self, meanflow: bool = False) -> None:
        self.steps: list[int | None] = []

    def inference(
        self,
        speech_tokens: Any,
        ref_wav: Any = None,
        ref_sr: int | None = None,
        ref_dict: Any = None,
        drop_invalid_tokens: bool = True,
        n_cfm_timesteps: int | None = None,
        speech_token_lens: Any = None,
    ) -> tuple[Tensor, None]:
        self.steps.append(n_cfm_timesteps)
        if not speech_tokens.numel():
            raise RuntimeError(
                "Calculated padded input size per channel: (2). Kernel size: (3). "
                "Kernel size can't be greater than actual input size"
            )
        at = np.arange(round(speech_tokens.numel() / TOKENS_PER_SECOND * S3GEN_SR)) / S3GEN_SR
        return Tensor((0.3 * np.sin(2 * np.pi * ref_dict["hertz"] * at)).astype("float32")[None, :]), None
