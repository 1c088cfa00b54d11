"""From an instruction to the token ids of the paragraph that a released model was trained with."""

from __future__ import annotations

import ast
import html
import re
from pathlib import Path

import torch
from torch import Tensor

from wam_ros.core.errors import WamError
from wam_ros.core.files import require_fetched
from wam_ros.models.dreamzero.released.contract import Contract

MAX_CHARACTERS = 2000
# token ids of umT5
END = 1
PADDING = 0
FILES = ("tokenizer.json", "spiece.model")


def instruction_of(text: str) -> str:
    """The instruction in lower case; of a written list, as data sets hold them, the first entry.

    Raises:
        WamError: empty or longer than is read.
    """
    if len(text) > MAX_CHARACTERS:
        raise WamError(f"instruction has {len(text)} characters, at most {MAX_CHARACTERS} are read")
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = text
    if isinstance(value, list | tuple):
        value = value[0] if value else ""
    if not str(value).strip():
        raise WamError("the instruction is empty")
    return str(value).lower()


def paragraph(instruction: str, contract: Contract) -> str:
    """What the model reads; raises `WamError` as `instruction_of` does."""
    return contract.prompt.replace("{instruction}", instruction_of(instruction))


def clean(text: str) -> str:
    """Broken encodings repaired, HTML entities resolved (twice, as in training), runs of white
    space made one blank.
    """
    try:
        import ftfy
    except ImportError as error:
        raise WamError("prompts need the library ftfy: pip install ftfy") from error
    return re.sub(r"\s+", " ", html.unescape(html.unescape(ftfy.fix_text(text)))).strip()


class PromptTokenizer:
    """The umT5 vocabulary from a local file, nothing is fetched."""

    def __init__(self, folder: Path, length: int = 512) -> None:
        """Read `tokenizer.json` or `spiece.model` from `folder`.

        Raises:
            WamError: neither is there, the file is damaged, or the library for it is not installed.
        """
        self.length = length
        path = next((folder / name for name in FILES if (folder / name).is_file()), None)
        if path is None:
            raise WamError(
                f"'{folder}' holds no vocabulary: expected {' or '.join(FILES)} of google/umt5-xxl"
            )
        require_fetched(path)
        library = "tokenizers" if path.suffix == ".json" else "sentencepiece"
        try:
            self._encode = _from_json(path) if library == "tokenizers" else _from_model(path)
        except ImportError as error:
            raise WamError(
                f"'{path}' needs the library {library}: pip install {library}"
            ) from error
        except Exception as error:  # both libraries raise bare exceptions
            raise WamError(
                f"'{path}' is not a vocabulary: {' '.join(str(error).split())[:200]}"
            ) from error

    def __call__(self, text: str) -> tuple[Tensor, Tensor]:
        """(1, L) ids and mask of a paragraph: cut to the length, ended, padded."""
        ids = [*self._encode(clean(text))[: self.length - 1], END]
        mask = [1] * len(ids) + [0] * (self.length - len(ids))
        return torch.tensor([ids + [PADDING] * (self.length - len(ids))]), torch.tensor([mask])


def _from_json(path: Path):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def _from_model(path: Path):
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor()
    processor.Load(str(path))
    return processor.EncodeAsIds
