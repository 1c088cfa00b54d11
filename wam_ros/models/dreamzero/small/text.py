"""Instructions of a closed vocabulary: what was never learned is refused, never guessed."""

from __future__ import annotations

import re
from unicodedata import normalize

import torch
from torch import Tensor, nn

from wam_ros.core.errors import WamError
from wam_ros.models.dreamzero.small.config import TextConfig


def words_of(instruction: str, config: TextConfig, text_len: int) -> list[int]:
    """Indices of the words of an instruction, 1-based (0 pads).

    Raises:
        WamError: empty, too long, unknown words (all listed with the vocabulary), or not exactly
            one choice named.
    """
    if len(instruction) > config.max_characters:
        raise WamError(
            f"instruction has {len(instruction)} characters, at most {config.max_characters} are "
            "read"
        )
    # letters of every script, accents in one piece: a word that is dropped changes the meaning
    words = re.findall(r"(?:[^\W_]|['\u0300-\u036f])+", normalize("NFC", instruction).lower())
    known = f"known words: {', '.join(config.vocabulary)}"
    if not words:
        what = f"has no words: {instruction.strip()[:40]!r}" if instruction.strip() else "is empty"
        raise WamError(f"the instruction {what}; {known}")
    if unknown := [w for w in dict.fromkeys(words) if w not in config.vocabulary]:
        raise WamError(
            f"the model never learned {', '.join(repr(w) for w in unknown[:8])}; {known}"
        )
    if len(words) > text_len:
        raise WamError(f"instruction has {len(words)} words, at most {text_len} are read")
    named = [w for w in dict.fromkeys(words) if w in config.choose_one]
    if config.choose_one and len(named) != 1:
        raise WamError(f"the instruction must name exactly one of {', '.join(config.choose_one)}")
    return [config.vocabulary.index(w) + 1 for w in words]


class TextEncoder(nn.Module):
    """One learned vector per word and place; padding stays zero before projection, as in Wan."""

    def __init__(self, config: TextConfig, text_dim: int, text_len: int) -> None:
        super().__init__()
        self.config = config
        self.text_len = text_len
        self.embedding = nn.Embedding(len(config.vocabulary) + 1, text_dim, padding_idx=0)
        self.place = nn.Parameter(0.1 * torch.randn(text_len, text_dim))

    def tokenize(self, instructions: list[str]) -> Tensor:
        """(B, M) padded word indices; raises `WamError` as `words_of` does."""
        rows = [words_of(i, self.config, self.text_len) for i in instructions]
        return torch.tensor([r + [0] * (self.text_len - len(r)) for r in rows])

    def forward(self, words: Tensor) -> Tensor:
        """(B, M) indices -> (B, M, text_dim)."""
        return (self.embedding(words) + self.place) * (words > 0).to(self.place.dtype)[..., None]
