"""Saying what is wrong at once, then rarely."""

from __future__ import annotations


class Notice:
    """Decides when a standing complaint is worth a log line; the clock is an argument.

    Args:
        repeat_s: a complaint that stays the same is repeated this often.
    """

    def __init__(self, repeat_s: float) -> None:
        self._repeat_s = repeat_s
        self._said = ""
        self._said_s = 0.0

    def due(self, complaint: str, now_s: float, subject: str | None = None) -> bool:
        """Whether to say `complaint` at `now_s`; empty means that all is well.

        Args:
            complaint: what is wrong, in words that may hold changing numbers.
            now_s: steady time.
            subject: what stays the same while the numbers change; `complaint` itself when None.
        """
        about = complaint if subject is None else subject
        if not about:
            self._said = ""
            return False
        if about == self._said and now_s - self._said_s < self._repeat_s:
            return False
        self._said = about
        self._said_s = now_s
        return True
