"""Weights on the disk, of both sizes of the family."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from wam_ros.core.files import whole_file


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file, whole or not at all.

    Raises:
        WamError: one line with the file and the reason.
    """
    with whole_file(path) as part:
        try:
            save_file(tensors, part, metadata)
        except SafetensorError as error:  # of a full disk, too
            raise OSError(str(error)) from error
