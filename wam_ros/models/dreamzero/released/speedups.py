"""Exact speed-ups of the released models, each with a switch; all off is the way the reference
computes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class SpeedUps:
    """Every one gives the same numbers as the plain path, up to rounding.

    `CausalDiT.use` changes them at any time but `packed_weights`, which `Inference.accelerate`
    applies once.
    """

    # cross-attention keys and values once per episode, not once per layer and evaluation
    cached_context: bool = True
    cached_prompts: bool = True  # each prompt through the text encoder once, not once per chunk
    # the text encoder reads a prompt as long as it is, not padded to its full length
    short_prompts: bool = True
    batched_guidance: bool = True  # both guidance branches in one batch, not one after the other
    distinct_times: bool = True  # time embedding once per distinct timestep, not once per token
    fp32_rope: bool = True  # rotations in fp32, not in fp64
    short_prefill: bool = True  # an observed frame stops at the last block's keys and values
    # CPU: the equal tokens beyond a prompt as one that counts as often, not one by one
    merged_padding: bool = True
    # CPU: block matrices in the order that products read, with the GELU after them
    packed_weights: bool = True
    # keys and values in one preallocated buffer, not concatenated at every use
    fixed_memory: bool = True

    @classmethod
    def none(cls) -> SpeedUps:
        """The plain path."""
        return cls(**{f.name: False for f in fields(cls)})
