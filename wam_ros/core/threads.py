"""How many threads numpy's linear algebra takes."""

from __future__ import annotations

import os


def one_blas_thread() -> None:
    """Let numpy multiply matrices in the thread that asks; call it before numpy is imported. What
    is set stays set.

    The threads of a BLAS wait for each other without pause. Where other programs hold the
    processors, each small product then takes as long as its slowest thread waits for a turn: a
    filter that must answer in time could not.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
