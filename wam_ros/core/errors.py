"""The error root of the project and the way a wrong name is reported."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable


class WamError(Exception):
    """Every error a user can cause; its message says what to change, one line for each problem."""


class Problems:
    """What is wrong with one thing, collected so that all of it is told at once.

    Args:
        where: the file or thing, in front of every message.
    """

    def __init__(self, where: object) -> None:
        self.where = str(where)
        self.found: list[str] = []

    def add(self, words: object) -> None:
        """Note one problem, a line without `where`; the same line twice is one."""
        if str(words) not in self.found:
            self.found.append(str(words))

    def require_none(self) -> None:
        """Raise a `WamError` of one line for each problem, if there is any."""
        if len(self.found) == 1:
            raise WamError(f"{self.where}: {self.found[0]}")
        if self.found:
            listed = "\n".join(f"  - {words}" for words in self.found)
            raise WamError(f"{self.where}: {len(self.found)} problems:\n{listed}")


class UnknownNameError(WamError):
    """A name that is not among the choices; the message lists them and the closest one."""

    def __init__(self, kind: str, name: str, choices: Iterable[str]) -> None:
        listed = sorted(choices)
        close = difflib.get_close_matches(name, listed, n=1, cutoff=0.5)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        super().__init__(
            f"unknown {kind} '{name[:80]}'.{hint} Choices: {', '.join(listed) or 'none'}"
        )
        self.kind = kind
        self.name = name
        self.choices = listed


def require_known(kind: str, name: str, choices: Iterable[str]) -> str:
    """Return `name` if it is one of `choices`, else raise `UnknownNameError`."""
    listed = list(choices)
    if name not in listed:
        raise UnknownNameError(kind, name, listed)
    return name


def require_within(name: str, value: float, low: float, high: float = math.inf) -> None:
    """Raise a `WamError` unless `value` lies within [low, high]; NaN does not."""
    if not low <= value <= high:
        bounds = f"at least {low:g}" if math.isinf(high) else f"between {low:g} and {high:g}"
        raise WamError(f"{name} must be {bounds}, found {value:g}")
