"""What a check says: an offence in words and units, and what it measured all along a motion."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np

from wam_ros.core.types import Reason
from wam_ros.core.words import describe_reasons

TOLERANCE = 1e-6  # relative; rounding of a state that lies on a limit


@dataclass(frozen=True)
class Finding:
    """The first offence, in words and units."""

    reason: Reason
    words: str
    _: KW_ONLY
    joint: str = ""
    step: int = -1
    measured: float = float("nan")
    allowed: float = float("nan")
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What one check found at each sample of a motion; a sample answers for the interval that ends
    at it.

    What is measured is one joint of `joints`, one pair of `pairs`, or, where there is neither, a
    tool.
    """

    reason: Reason
    ratio: np.ndarray  # (N,) above 1 is a violation
    measured: np.ndarray  # (N,)
    allowed: np.ndarray  # (N,)
    subject: np.ndarray  # (N,) int, index of the joint or the pair
    units: tuple[str, ...]  # one, or one per joint
    joints: tuple[str, ...] = ()  # names
    pairs: tuple[tuple[str, str], ...] = ()  # links or obstacles

    @property
    def bad(self) -> np.ndarray:
        """(N,) bool."""
        # so written that NaN is bad
        return ~(self.ratio <= 1.0)

    def unit(self, sample: int) -> str:
        """Unit of the measured value at a sample."""
        return self.units[0] if len(self.units) == 1 else self.units[int(self.subject[sample])]

    def describe(self, sample: int, when: str, step: int = -1) -> Finding:
        """Words for what was found at a sample.

        Args:
            sample: index.
            when: the same instant in words.
            step: of the chunk, if it is of one.
        """
        subject = int(self.subject[sample])
        unit = self.unit(sample)
        value = float(self.measured[sample])
        allowed = float(self.allowed[sample])
        joint = self.joints[subject] if self.joints else ""
        if self.pairs:
            a, b = self.pairs[subject]
            words = f"{a} comes within {value:.4f} m of {b} {when}, allowed {allowed:.4f} m"
        else:
            what = describe_reasons(self.reason)
            words = (
                f"{joint or 'tool'} {what} {value:.4g} {unit} {when}, allowed {allowed:.4g} {unit}"
            )
        return Finding(
            self.reason,
            words,
            joint=joint,
            step=step,
            measured=value,
            allowed=allowed,
            unit=unit,
        )

    def describe_step(self, sample: int, samples: np.ndarray) -> Finding:
        """Words for what was found at a sample; `samples` are those of the steps."""
        step = min(int(np.searchsorted(samples, sample)), max(len(samples) - 1, 0))
        return self.describe(sample, f"at step {step}", step)


def measure_peaks(
    *,
    reason: Reason,
    peaks: np.ndarray,
    inside: np.ndarray,
    limits: np.ndarray,
    joints: tuple[str, ...],
    units: tuple[str, ...],
) -> Measure:
    """A measure from the peaks (N - 1, A) of the intervals against limits (A,): the worst joint
    answers.
    """
    ratio = np.zeros((len(peaks) + 1, len(limits)))
    np.divide(peaks, limits * (1 + TOLERANCE), out=ratio[1:], where=inside[:, None])
    return measure_ratios(reason=reason, ratio=ratio, limits=limits, joints=joints, units=units)


def measure_ratios(
    *,
    reason: Reason,
    ratio: np.ndarray,
    limits: np.ndarray,
    joints: tuple[str, ...],
    units: tuple[str, ...],
) -> Measure:
    """A measure from ratios (N, A) to limits (A,): the worst joint answers."""
    subject = ratio.argmax(axis=1)
    worst = ratio[np.arange(len(ratio)), subject]
    return Measure(
        reason=reason,
        ratio=worst,
        measured=worst * limits[subject],
        allowed=limits[subject],
        subject=subject,
        units=units,
        joints=joints,
    )
