"""World action models, one family a folder; a family is imported only when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError, require_known
from wam_ros.core.policy import Policy
from wam_ros.core.resources import config_names, config_path, share_dir
from wam_ros.core.yamlfile import load_yaml
from wam_ros.models.remote.address import is_address, read_address

MODELS = {
    "dreamzero": "wam_ros.models.dreamzero.small.policy:load",
    "dreamzero-released": "wam_ros.models.dreamzero.released.policy:load",
    "proposals": "wam_ros.models.proposals.policy:load",
    "reach": "wam_ros.models.reach.policy:load",
    "remote": "wam_ros.models.remote.policy:load",
}
# of families of which a description tells what words their models know; without torch
WORDS = {"dreamzero": "wam_ros.models.dreamzero.small.words:require_instruction"}
SCRIPT = "reach"  # what moves a simulated robot for which no model is shipped
MEMORIES = ("real", "imagined")
CAN_ACT_ALONE = ("dreamzero",)  # families whose actions can be denoised without the frames


def read_description(model: str) -> dict[str, Any]:
    """What `config/models/<model>.yaml` says, or the file whose path `model` is; a server's address
    is of the family `remote`.

    Raises:
        WamError: no such model, or of no known family; lists the choices.
    """
    if is_address(model):
        contract = read_address(model).contract
        robot = load_yaml(config_path("wires", contract)).get("embodiment") if contract else None
        return {"family": "remote", **({"embodiment": robot} if robot else {})}
    data = load_yaml(config_path("models", model))
    require_known("model family", str(data.get("family")), MODELS)
    return data


def require_instruction(model: str, instruction: str) -> None:
    """Judge an instruction as far as the description of a model tells which it understands.

    Raises:
        WamError: it has words that the model never learned, or none of those that it must have.
    """
    family = read_description(model)["family"]
    if family in WORDS:
        _function(WORDS[family])(model, instruction)


def model_for(embodiment: Embodiment) -> str:
    """Name of the model that is shipped with weights for a robot as it is, or `SCRIPT`."""
    e = embodiment
    shape = {
        "embodiment": e.name,
        "image_height": e.image_height,
        "image_width": e.image_width,
        "views": len(e.cameras),
        "action_dim": len(e.joint_names),
    }
    for name in config_names("models"):
        data = read_description(name)
        weights = share_dir() / str(data.get("weights", ""))
        if weights.is_file() and all(data.get(key) == value for key, value in shape.items()):
            return name
    return SCRIPT


def load_policy(
    model: str,
    checkpoint: str,
    embodiment: Embodiment,
    *,
    threads: int = 1,
    steps: int = 0,
    memory: str = "real",
    imagine: bool = True,
) -> Policy:
    """Build the policy that `config/models/<model>.yaml` describes.

    Args:
        model: name of a shipped model, a path ending in .yaml, or the address of a server:
            ws://HOST:PORT, or CONTRACT@ws://HOST:PORT with a name of config/wires; CONTRACT@http://
            and CONTRACT@tcp:// ask servers as those of OpenVLA and of GR00T.
        checkpoint: weights file, or folder of a released model; empty takes the one shipped with
            the model.
        embodiment: the robot; must be the one that the model was trained for.
        threads: CPU threads of the network.
        steps: denoising steps per chunk; 0 takes the model's own.
        memory: `real` remembers observed frames; `imagined` never looks again after the first frame
            (an ablation).
        imagine: False denoises actions alone, while the frames to come stay noise (an ablation,
            and all that weights can that were trained so).

    Raises:
        WamError: unknown names (with the choices), a damaged checkpoint, or a model for another
            robot.
    """
    require_known("memory", memory, MEMORIES)
    if steps < 0 or threads < 1:
        raise WamError(f"steps must be >= 0 and threads >= 1, found {steps} and {threads}")
    data = read_description(model)
    if data["family"] == "remote" and (checkpoint or steps or memory != "real"):
        raise WamError(f"'{model}' is a server: checkpoint, steps and memory are told to it there")
    alone = {} if imagine else {"imagine": False}
    if alone and data["family"] not in CAN_ACT_ALONE:
        raise WamError(
            f"'{model}' cannot leave out what it imagines: models of the family "
            f"{', '.join(CAN_ACT_ALONE)} can"
        )
    weights = Path(checkpoint) if checkpoint else share_dir() / str(data.get("weights", ""))
    return _function(MODELS[data["family"]])(
        model,
        weights=weights,
        embodiment=embodiment,
        threads=threads,
        steps=steps,
        memory=memory,
        **alone,
    )


def _function(named: str) -> Callable[..., Any]:
    module, _, function = named.partition(":")
    return getattr(importlib.import_module(module), function)
