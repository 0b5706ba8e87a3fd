"""`chatterbox.models.t3.t3`: text to speech tokens, 25 for a second, the transformer called for each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Tensor, zeros

from .modules.cond_enc import T3Cond

CHARACTERS_PER_SECOND = 14.0
TOKENS_PER_SECOND = 25


def tqdm(iterable: Iterable[int], desc: str = "", dynamic_ncols: bool = False) -> Iterator[int]:
    """The bar that the package imports and draws on stderr."""
    for each in iterable:
        print(f"\r{desc}: {each}it", end="", file=sys.stderr)  # noqa: T201
        yield each


class Transformer:
    """As much of a torch module as is asked of it."""

    def __init__(self) -> None:
        self.calls = 0
        self._hooks: list[Callable[..., None]] = []

    def register_forward_pre_hook(self, hook: Callable[..., None]) -> None:
        self._hooks.append(hook)

    def __call__(self) -> None:
        for hook in self._hooks:
            hook(self, ())
        self.calls += 1


class T3:
    def __init__(self, hp: Any = None) -> None:
        self.tfmr = Transformer()
        self.mute = False
        """It ends before its first token, as the real one may by chance."""

    def inference(
        self,
        *,
        t3_cond: T3Cond,
        text_tokens: str,
        initial_speech_tokens: Any = None,
        prepend_prompt_speech_tokens: Any = None,
        num_return_sequences: int = 1,
        max_new_tokens: int | None = None,
        stop_on_eos: bool = True,
        do_sample: bool = True,
        temperature: float = 0.8,
        top_p: float = 0.95,
        min_p: float = 0.05,
        length_penalty: float = 1.0,
        repetition_penalty: float = 1.2,
        cfg_weight: float = 0.5,
    ) -> Tensor:
        """The tokens, one after the other."""
        if cfg_weight <= 0.0:
            raise RuntimeError(
                "Sizes of tensors must match except in dimension 1. "
                "Expected size 1 but got size 2 for tensor number 1 in the list."
            )
        wanted = 0 if self.mute else round(len(text_tokens) / CHARACTERS_PER_SECOND * TOKENS_PER_SECOND)
        most = wanted if max_new_tokens is None else max_new_tokens
        for _ in tqdm(range(min(wanted, most)), desc="Sampling", dynamic_ncols=True):
            self.tfmr()
        return zeros(min(wanted, most))
