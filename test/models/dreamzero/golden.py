"""Numbers of the reference implementation: one `<case>.safetensors` and one `<case>.json` each.

Sizes, sub-cases and tolerances come from the JSON, never from here: another folder of the same form
must pass too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

SHIPPED = Path(__file__).parent / "golden"


@dataclass(frozen=True)
class Golden:
    """One case; `scope` narrows it to the tensors whose names start with it (a sub-case, a call, a
    step).
    """

    name: str
    info: dict[str, Any]
    tensors: dict[str, Tensor]
    folder: Path
    scope: str = ""

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[self.scope + name]

    def __contains__(self, name: str) -> bool:
        return self.scope + name in self.tensors

    def names(self) -> list[str]:
        """Tensor names of this scope, without it."""
        return [n.removeprefix(self.scope) for n in self.tensors if n.startswith(self.scope)]

    def within(self, scope: str) -> Golden:
        """The same case, narrowed further."""
        return Golden(self.name, self.info, self.tensors, self.folder, f"{self.scope}{scope}.")

    def each(self, key: str = "subcases") -> Iterable[tuple[dict[str, Any], Golden]]:
        """(description, narrowed case) of every entry of a mapping in the JSON: `subcases`,
        `scenarios`.
        """
        assert self.info[key], f"{self.name}.json has no {key}"
        return [(info, self.within(name)) for name, info in self.info[key].items()]

    def weights(self, prefix: str) -> dict[str, Tensor]:
        """Parameters under a checkpoint prefix; from the case that the JSON names in
        `weights_from`, if it does.
        """
        tensors = self.tensors
        if source := self.info.get("weights_from"):
            tensors = load_file(self.folder / source.split()[0])
        found = {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}
        assert found, f"{self.name}: no parameter starts with {prefix}"
        return found

    def check(
        self,
        found: Mapping[str, Tensor],
        *,
        inputs: tuple[str, ...] = ("in.",),
        atol: float | None = None,
        rtol: float | None = None,
    ) -> None:
        """Compare every expected tensor of this scope, within the JSON's tolerance unless one is
        given.

        Args:
            found: by name, at least all of the scope's tensors that do not start with one of
                `inputs`.
            inputs: what belongs to the question, not to the answer.
            atol: absolute tolerance instead of the JSON's.
            rtol: relative tolerance instead of the JSON's.
        """
        tolerance = self.info["tolerance"]
        atol = tolerance.get("atol", 0.0) if atol is None else atol
        rtol = tolerance.get("rtol", 0.0) if rtol is None else rtol
        expected = [n for n in self.names() if not n.startswith(inputs)]
        assert expected, f"{self.name}.json has nothing to compare in '{self.scope}'"
        missing = [n for n in expected if n not in found]
        assert not missing, f"{self.name}: not computed: {missing}"
        for n in expected:
            wanted, got = self[n], found[n]
            assert got.shape == wanted.shape, (
                f"{self.scope}{n}: {tuple(got.shape)}, expected {tuple(wanted.shape)}"
            )
            if not wanted.is_floating_point():
                assert torch.equal(got.to(wanted.dtype), wanted), (
                    f"{self.name}: {self.scope}{n} differs"
                )
                continue
            torch.testing.assert_close(
                got.to(wanted.dtype),
                wanted,
                atol=atol,
                rtol=rtol,
                msg=lambda m, n=n: f"{self.name}: {self.scope}{n}: {m}",
            )


def load_golden(folder: Path, name: str) -> Golden:
    """Read one case; a folder that lacks it is an error, not a skipped test."""
    info = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    tensors = load_file(folder / f"{name}.safetensors")
    listed = info["tensors"]
    assert set(listed) == set(tensors), (
        f"{name}.json lists other tensors than {name}.safetensors holds"
    )
    return Golden(name, info, tensors, folder)
