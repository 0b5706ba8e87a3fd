"""`chatterbox.models.s3gen`: speech tokens to sound."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

S3GEN_SR = 24_000
TOKENS_PER_SECOND = 25


class Tensor:
    """As much of torch's as `generate` gives its caller."""

    def __init__(self, values: npt.NDArray[np.float32]) -> None:
        self._values = values

    def squeeze(self, dim: int) -> Tensor:
        return Tensor(self._values.squeeze(dim))

    def unsqueeze(self, dim: int) -> Tensor:
        return Tensor(np.expand_dims(self._values, dim))

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def numpy(self) -> npt.NDArray[np.float32]:
        return self._values


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
        """`speech_tokens` is how many there are."""
        self.steps.append(n_cfm_timesteps)
        at = np.arange(round(speech_tokens / TOKENS_PER_SECOND * S3GEN_SR)) / S3GEN_SR
        return Tensor((0.3 * np.sin(2 * np.pi * ref_dict["hertz"] * at)).astype("float32")[None, :]), None
