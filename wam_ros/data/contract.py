"""Other people's columns and cameras in the order of a contract: DROID and AgiBot G1 in LeRobot
form, as DreamZero's converters and LeRobot's port of DROID write them.

A part of a contract, `joint_position` say, is looked for in `meta/modality.json` (GR00T's and
DreamZero's, which slice `observation.state` and `action`), then as a column of its own
(`observation.state.joint_position`). A camera is looked for there, too, then by its name, with or
without `image_` in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wam_ros.core.errors import WamError, require_known
from wam_ros.core.resources import config_path
from wam_ros.core.yamlfile import load_yaml
from wam_ros.data.episodes import Episode, OtherEpisodes
from wam_ros.data.lerobot.info import ACTION, IMAGES, STATE, load_object
from wam_ros.data.lerobot.reader import LeRobotEpisodes

MODALITY = "meta/modality.json"
RATE = 0.01  # share by which the rate may be off
# AgiBot's converter writes the two halves of what the contract has as one
HALVES = {"waist_position": ("waist_pitch", "waist_lift")}


@dataclass(frozen=True)
class _Part:
    """Columns `start` to `stop` of one feature."""

    column: str
    start: int
    stop: int


class ContractEpisodes(OtherEpisodes):
    """A LeRobot data set seen through a contract: its states, actions and cameras and no others.

    Args:
        folder: of the data set.
        contract: name in config/contracts, or a YAML file.

    Raises:
        WamError: a part or camera of the contract is missing or has another size, or the rate is
            another one.
    """

    def __init__(self, folder: Path, contract: str) -> None:
        inner = LeRobotEpisodes(folder)
        super().__init__(inner)
        self._features = inner.info.features
        data = load_yaml(config_path("contracts", contract))
        wanted = float(data["step_period_s"])
        if not abs(self.rate_hz * wanted - 1) <= RATE:
            raise WamError(
                f"'{folder}' is at {self.rate_hz:g} Hz, contract {data['name']} at {1 / wanted:.4g}"
            )
        path = folder / MODALITY
        self._modality: dict[str, Any] = load_object(path) if path.is_file() else {}
        self._states = self._parts("state", data["state"])
        self._actions = self._parts("action", data["action"])
        self.joint_names = _names(data["state"])
        self.action_names = _names(data["action"])
        self._views = {name: self._camera(name) for name in data["views"]}
        sizes = {v.name: v for v in self._inner.views}
        self.views = tuple(
            dataclasses.replace(sizes[own], name=name) for name, own in self._views.items()
        )

    def episode(self, index: int) -> Episode:
        """As `Episodes.episode`, in the order of the contract."""
        found = self._inner.episode(index)
        columns = {**found.extra}
        columns |= {
            k: v for k, v in ((STATE, found.states), (ACTION, found.actions)) if v is not None
        }
        used = {p.column for p in (*self._states, *self._actions)}
        labelled = found.labelled
        if found.actions is None:  # it has none under that name, and the contract finds others
            labelled = np.ones(len(found), bool)
        seen = found.seen
        if seen is not None:
            order = [self._inner.view_names.index(v) for v in self._views.values()]
            seen = seen[:, order]
        return dataclasses.replace(
            found,
            states=_joined(columns, self._states),
            actions=_joined(columns, self._actions),
            labelled=labelled,
            seen=seen,
            extra={k: v for k, v in found.extra.items() if k not in used},
        )

    def pictures(
        self, index: int, view: str, start: int = 0, stop: int | None = None
    ) -> Iterator[np.ndarray]:
        """As `Episodes.pictures`."""
        own = self._views[require_known("camera", view, self._views)]
        return self._inner.pictures(index, own, start, stop)

    def _parts(self, kind: str, wanted: list[dict[str, Any]]) -> list[_Part]:
        """Where the parts of states or actions lie."""
        found = []
        for part in wanted:
            name = str(part["name"])
            there = self._part(kind, name) or [
                p for half in HALVES.get(name, ()) for p in self._part(kind, half)
            ]
            size = sum(p.stop - p.start for p in there)
            if size != int(part["size"]):
                has = f"has {size} values of {part['size']}" if there else "is not there"
                raise WamError(f"'{self.where}': {kind} '{name}' of the contract {has}")
            found += there
        return found

    def _part(self, kind: str, name: str) -> list[_Part]:
        features = self._features
        prefix = STATE if kind == "state" else ACTION
        told = _entry(self._modality, kind, name)
        if told is not None:
            column = str(told.get("original_key") or prefix)
            width = features[require_known("column", column, features)].shape[-1]
            start, stop = told.get("start"), told.get("end")
            if not (
                isinstance(start, int) and isinstance(stop, int) and 0 <= start < stop <= width
            ):
                raise WamError(
                    f"'{self.where}': {MODALITY} says that {kind} '{name}' is {start!r} to "
                    f"{stop!r} of {width} values of {column}"
                )
            return [_Part(column, start, stop)]
        column = f"{prefix}.{name}"
        if column in features:
            return [_Part(column, 0, features[column].shape[-1])]
        return []

    def _camera(self, name: str) -> str:
        told = _entry(self._modality, "video", name) or {}
        own = self._inner.view_names
        for key in (str(told.get("original_key", "")), name, name.replace("image_", "")):
            if key.removeprefix(IMAGES) in own:
                return key.removeprefix(IMAGES)
        raise WamError(
            f"'{self.where}': camera '{name}' of the contract is not there; there are "
            f"{', '.join(own) or 'none'}"
        )


def _entry(modality: dict[str, Any], kind: str, name: str) -> dict[str, Any] | None:
    found = modality.get(kind)
    told = found.get(name) if isinstance(found, dict) else None
    return told if isinstance(told, dict) else None


def _names(parts: list[dict[str, Any]]) -> tuple[str, ...]:
    """One name for each value: `joint_position.0`, and so on."""
    return tuple(
        f"{p['name']}.{i}" if int(p["size"]) > 1 else str(p["name"])
        for p in parts
        for i in range(int(p["size"]))
    )


def _joined(columns: dict[str, np.ndarray], parts: list[_Part]) -> np.ndarray:
    """(T, S) of all parts."""
    flat = [
        columns[p.column].reshape(len(columns[p.column]), -1)[:, p.start : p.stop] for p in parts
    ]
    return np.concatenate(flat, 1)
