"""One robot in front of one released checkpoint: its cameras to the canvas, its joints to the
columns, and back.
"""

from __future__ import annotations

import numpy as np

from wam_ros.core.embodiment import Embodiment, require_observed_by
from wam_ros.core.errors import WamError
from wam_ros.core.types import Observation
from wam_ros.models.dreamzero.released import views
from wam_ros.models.dreamzero.released.contract import Contract
from wam_ros.models.dreamzero.released.quantiles import JointScaling
from wam_ros.models.limits import require_reachable


class BoundRobot:
    """Numpy only. `columns` are the contract's state and action columns in their own units."""

    def __init__(
        self, contract: Contract, scaling: JointScaling, embodiment: Embodiment, actions: int
    ) -> None:
        """Raises `WamError` when joints, cameras, picture size or rates of the robot do not fit the
        contract, or the statistics lead a joint out of its limits.
        """
        self.contract = contract
        self.scaling = scaling
        self.embodiment = embodiment
        binding = contract.binding(embodiment.name)
        e = embodiment
        if sorted(binding.joints) != sorted(e.joint_names):
            raise WamError(
                f"contract '{contract.name}' binds joints {binding.joints}, {e.name} has "
                f"{e.joint_names}"
            )
        if unknown := set(binding.views.values()) - set(e.view_names):
            raise WamError(
                f"contract '{contract.name}' binds cameras {sorted(unknown)}, which {e.name} has "
                "not"
            )
        source = (contract.source_height or e.image_height, contract.source_width or e.image_width)
        wanted = (*source, actions, round(contract.step_period_s, 4))
        found = (e.image_height, e.image_width, e.action_horizon, round(e.step_period_s, 4))
        if wanted != found:
            raise WamError(
                f"contract '{contract.name}' wants (height, width, horizon, step period [s]) "
                f"{wanted}, "
                f"{e.name} has {found}: give an embodiment file with these"
            )
        self._view_camera = {
            view: e.view_names.index(camera) for view, camera in binding.views.items()
        }
        self._order = [e.joint_names.index(j) for j in binding.joints]
        self._low = np.array([binding.low.get(j, 0.0) for j in binding.joints])
        self._span = np.array([binding.high.get(j, 1.0) for j in binding.joints]) - self._low
        self._require_reachable()

    def _require_reachable(self) -> None:
        n = len(self._order)
        relative = np.concatenate([[g.relative] * g.size for g in self.contract.action])[:n]
        absolute = np.zeros_like(relative)
        for kind, columns, differences in (
            ("state", self.scaling.state, absolute),
            ("action", self.scaling.action, relative),
        ):
            low, high = (x.reshape(-1, x.shape[-1])[:, :n] for x in (columns.low, columns.high))
            ends = np.stack([low.min(0), high.max(0)]) * self._span
            ends = np.sort(ends + np.where(differences, 0, self._low), 0)
            require_reachable(
                f"statistics of '{self.contract.name}': {kind}",
                self.embodiment,
                self._in_robot_order(ends),
                self._in_robot_order(differences),
            )

    def _in_robot_order(self, values: np.ndarray) -> np.ndarray:
        """(..., A) of the contract's columns -> of the robot's joints."""
        out = np.empty_like(values)
        out[..., self._order] = values
        return out

    def canvas(self, observation: Observation) -> np.ndarray:
        """(H, W, 3) uint8: every bound view cropped, resized and in its place.

        Raises:
            WamError: other views, joints or picture sizes than the embodiment's.
        """
        require_observed_by(self.embodiment, observation)
        c = self.contract
        small = {
            view: views.resize(
                views.centre_crop(observation.frames[i], c.crop), c.view_height, c.view_width
            )
            for view, i in self._view_camera.items()
        }
        return views.compose(small, c.canvas)

    def frames(self, pictures: np.ndarray, observation: Observation) -> np.ndarray:
        """Imagined canvases (F, H, W, 3) -> (F, V, h, w, 3) as the cameras would see it.

        The rim that the crop took away, and cameras that the model does not see, stay as they were
        observed.
        """
        out = np.repeat(observation.frames[None], len(pictures), 0)
        top, left, h, w = views.crop_box(out.shape[2], out.shape[3], self.contract.crop)
        shown = views.decompose(pictures, self.contract.canvas)
        for view, i in self._view_camera.items():
            seen = np.rint(views.resize_exact(shown[view], h, w)).astype(np.uint8)
            out[:, i, top : top + h, left : left + w] = seen
        return out

    def columns(self, observation: Observation) -> np.ndarray:
        """(S,) joint values in the contract's order and units."""
        return (
            np.asarray(observation.joints.positions, np.float64)[self._order] - self._low
        ) / self._span

    def state(self, columns: np.ndarray, width: int) -> np.ndarray:
        """(1, 1, width) normalised and padded with zeros."""
        out = np.zeros((1, 1, width), np.float32)
        out[..., : columns.size] = self.scaling.state.normalise(columns)
        return out

    def action(self, positions: np.ndarray, columns: np.ndarray, width: int) -> np.ndarray:
        """Inverse of `positions`: (T, A) rad or m and the columns they begin from -> (1, T, width)
        normalised, as in training: what is beyond the statistics is at their end. Columns that are
        of no joint are 0 in their own unit.
        """
        told = np.zeros((len(positions), self.contract.action_dim))
        told[:, : len(self._order)] = (positions[:, self._order] - self._low) / self._span
        out = np.zeros((1, len(positions), width), np.float32)
        out[..., : told.shape[1]] = self.scaling.from_joints(told, columns)
        return out

    def positions(self, action: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Normalised (T, >= A) and the columns they began from -> absolute (T, A) rad or m, in the
        robot's order.
        """
        joints = self.scaling.to_joints(action, columns)[..., : len(self._order)]
        return self._in_robot_order(joints * self._span + self._low)
