"""What training wrote about itself (`experiment_cfg/conf.yaml`), held against a contract.

The file is the reference's resolved configuration. Where it is missing, the contract stands alone;
where it is there, what it says counts, also by being silent: `relative_action` is then false.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from wam_ros.core.errors import UnknownNameError, WamError
from wam_ros.core.files import require_fetched
from wam_ros.models.dreamzero.released.contract import Contract

# how a column was scaled: the statistics that became -1 and 1, or -1 and 1 deviations
MODES = {"q99": ("q01", "q99"), "min_max": ("min", "max"), "mean_std": ("mean", "std")}
USUAL = "q99"
CONF = "experiment_cfg/conf.yaml"


@dataclass(frozen=True)
class Trained:
    """One configuration; empty where training left none."""

    path: Path
    conf: dict[str, Any] = field(default_factory=dict)

    def require(self, contract: Contract) -> None:
        """Raise `WamError` where training had other relative groups, another order of groups, or
        another rate than the contract.

        Other embodiments in the same configuration are theirs.
        """
        if not self.conf:
            return
        self._require_relative(contract)
        self._require_order(contract)
        self._require_rate(contract)

    def modes(self, contract: Contract) -> dict[str, str]:
        """How each group was scaled, by `state.<group>` and `action.<group>`.

        Raises:
            WamError: a mode that is not read, a group that was not scaled, or a rotation that was
                turned into another form.
        """
        wanted = [f"state.{g.name}" for g in contract.state]
        wanted += [f"action.{g.name}" for g in contract.action]
        if "transforms" not in self.conf:
            return dict.fromkeys(wanted, USUAL)
        all_transforms = self._mapping("transforms")
        if contract.name not in all_transforms:
            raise WamError(
                f"{self.path}: transforms has no '{contract.name}', found "
                f"{', '.join(all_transforms)}"
            )
        ours = all_transforms[contract.name]
        found: dict[str, Any] = {}
        for mapping in _values(ours, "normalization_modes"):
            found |= mapping if isinstance(mapping, dict) else {}
        turned = [k for m in _values(ours, "target_rotations") if isinstance(m, dict) for k in m]
        for name in wanted:
            where = f"{self.path}: transforms.{contract.name}: "
            if name in turned:
                raise WamError(f"{where}target_rotations turns '{name}', which is not read")
            if name not in found:
                raise WamError(
                    f"{where}normalization_modes has no '{name}': columns that were not scaled are "
                    "not read"
                )
            if found[name] not in MODES:
                unknown = UnknownNameError("normalization mode", str(found[name]), MODES)
                raise WamError(f"{where}{name}: {unknown}")
        return {name: found[name] for name in wanted}

    def per_horizon(self) -> bool:
        """Whether each step of a chunk has statistics of its own."""
        return self._flag("relative_action_per_horizon")

    def base(self) -> str | None:
        """What a fine-tuning began from: a path, '' for a base Wan model, None where nothing says
        so.
        """
        if "pretrained_model_path" not in self.conf:
            return None
        return str(self.conf["pretrained_model_path"] or "")

    def _require_relative(self, contract: Contract) -> None:
        flags = [n for n in ("relative_action", "relative_action_per_horizon") if self._flag(n)]
        keys = self.conf.get("relative_action_keys")
        if keys is not None and not isinstance(keys, list):
            raise WamError(f"{self.path}: relative_action_keys must be a list, found {keys!r}")
        if flags and not keys:
            raise WamError(
                f"{self.path}: {flags[0]} is true, but relative_action_keys names no group"
            )
        named = {str(k).rpartition(".")[2] for k in keys or [] if flags}
        found = [g.name for g in contract.action if g.name in named]
        ours = [g.name for g in contract.action if g.relative]
        if found != ours:
            said = f"relative_action_keys are {keys}" if flags else "relative_action is not true"
            raise WamError(
                f"{self.path}: {said}, but the contract '{contract.name}' measures "
                f"{ours or 'none'} from the state; write a contract that says so and name it as "
                "`contract` in the model's file"
            )

    def _require_order(self, contract: Contract) -> None:
        for kind, groups in (("action", contract.action), ("state", contract.state)):
            wanted = [g.name for g in groups]
            for keys in _values(self.conf, f"{kind}_concat_order"):
                if not isinstance(keys, list):
                    continue
                names = [str(k).rpartition(".")[2] for k in keys]
                if sorted(names) == sorted(wanted) and names != wanted:
                    raise WamError(
                        f"{self.path}: {kind}_concat_order is {names}, the contract "
                        f"'{contract.name}' has {wanted}"
                    )

    def _require_rate(self, contract: Contract) -> None:
        fps = self.conf.get("fps")
        rate = fps.get(contract.name) if isinstance(fps, dict) else fps
        if rate is None or not contract.step_period_s:
            return
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not rate > 0:
            raise WamError(
                f"{self.path}: fps of '{contract.name}' must be positive, found {rate!r}"
            )
        if abs(rate * contract.step_period_s - 1) > 0.01:
            raise WamError(
                f"{self.path}: fps is {rate:g}, but the contract '{contract.name}' has "
                f"{1 / contract.step_period_s:g} steps a second"
            )

    def _flag(self, name: str) -> bool:
        value = self.conf.get(name, False)
        if not isinstance(value, bool | None):
            raise WamError(f"{self.path}: {name} must be true or false, found {value!r}")
        return bool(value)

    def _mapping(self, name: str) -> dict[str, Any]:
        value = self.conf[name]
        if not isinstance(value, dict):
            raise WamError(f"{self.path}: {name} must be a mapping, found {type(value).__name__}")
        return value


def read_trained(folder: Path) -> Trained:
    """Read the configuration of a checkpoint folder, if there is one.

    Raises:
        WamError: it is not fetched, damaged, or no mapping.
    """
    path = folder / CONF
    if not path.is_file():
        return Trained(path)
    require_fetched(path)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise WamError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise WamError(f"{path}: expected a mapping, found {type(data).__name__}")
    return Trained(path, data)


def _values(tree: object, key: str) -> list[object]:
    """Every value of `key` in nested mappings and lists."""
    if isinstance(tree, dict):
        return [v for k, v in tree.items() if k == key] + [
            x for v in tree.values() for x in _values(v, key)
        ]
    return [x for v in tree for x in _values(v, key)] if isinstance(tree, list) else []
