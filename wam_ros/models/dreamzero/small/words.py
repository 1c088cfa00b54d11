"""Instructions of a closed vocabulary: what was never learned is refused, never guessed. Without
torch: whoever launches a loop can tell.
"""

from __future__ import annotations

import re
from unicodedata import normalize

from wam_ros.core.errors import WamError
from wam_ros.models.dreamzero.small.config import TextConfig, load_model_config


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


def require_instruction(name: str, instruction: str) -> None:
    """Raises `WamError` as `words_of` does, for the model of a description."""
    config = load_model_config(name)
    words_of(instruction, config.text, config.transformer.text_len)
