"""Instructions of a closed vocabulary as vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wam_ros.models.dreamzero.small.config import TextConfig
from wam_ros.models.dreamzero.small.words import words_of


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
