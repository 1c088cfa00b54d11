"""The second of two deliberate steps: a number used once, shown to the person who asked."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """What waits for its answer."""

    action: str
    nonce: str
    asked_s: float


class Confirmation:
    """At most one open question of one client; the clock is an argument.

    A message that was sent in somebody's name cannot do what needs two, because the nonce of the
    second is told to the page that sent the first, and to no other. It is void after one answer,
    right or wrong.
    """

    SOONEST_S = 0.3  # a person reads the question and holds the button down
    LATEST_S = 10.0

    def __init__(self) -> None:
        self._open: Question | None = None

    def ask(self, action: str, now_s: float) -> Question:
        """Open a question; one that was open is void."""
        self._open = Question(action, secrets.token_urlsafe(12), now_s)
        return self._open

    def why_not_confirmed(self, action: str, nonce: str, now_s: float) -> str:
        """Why `nonce` does not confirm `action`, in words; empty when it does. Either way it is
        used up.
        """
        question = self._open
        self._open = None
        if question is None:
            return f"{action}: nothing was asked; press the button first"
        if not hmac.compare_digest(question.nonce.encode(), nonce.encode()):
            return f"{action}: this is not the number that was told"
        if question.action != action:
            return f"{action}: the question was about {question.action}"
        if not question.asked_s + self.SOONEST_S <= now_s <= question.asked_s + self.LATEST_S:
            return (
                f"{action}: confirm {self.SOONEST_S:g} to {self.LATEST_S:g} s after pressing the "
                "button"
            )
        return ""
