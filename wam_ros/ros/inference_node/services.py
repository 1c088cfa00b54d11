"""Services that tell the model what to do: `~/set_instruction`, `~/stand_by`, `~/reset`,
`~/load_model`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

from wam_ros.core.errors import WamError
from wam_ros.core.policy import Policy
from wam_ros.ros.inference_node.parameters import InferenceParams
from wam_ros.runtime.engine import InferenceEngine
from wam_ros.runtime.prediction import require_instruction
from wam_ros.runtime.results import Outcome
from wam_ros.srv import LoadModel, SetInstruction


class ModelServices:
    """Wires the services to an engine.

    Args:
        node: that offers them.
        p: its parameters.
        engine: that is told.
        load: a policy by the names of model and checkpoint; raises `WamError` with the choices.
        on_reset: called after the memory has been dropped.
        on_swap: called with the policy that has taken over.
    """

    def __init__(
        self,
        node: Node,
        p: InferenceParams,
        engine: InferenceEngine,
        load: Callable[[str, str], Policy],
        on_reset: Callable[[], None],
        on_swap: Callable[[Policy], None],
    ) -> None:
        self._p = p
        self._engine = engine
        self._logger = node.get_logger()
        self._load = load
        self._forget = on_reset
        self._on_swap = on_swap
        self._model = p.model  # the running one
        node.create_service(SetInstruction, "~/set_instruction", self._on_set_instruction)
        node.create_service(LoadModel, "~/load_model", self._on_load_model)
        # chunks of the next instruction must not wait for this answer
        meanwhile = ReentrantCallbackGroup()
        node.create_service(Trigger, "~/stand_by", self._on_stand_by, callback_group=meanwhile)
        node.create_service(Trigger, "~/reset", self._on_reset)

    def reset_to(self, instruction: str | None) -> Outcome:
        """Forget, and follow `instruction` if there is one.

        It waits for the prediction under way: the old chunks are void anyway, and an awaiting
        service keeps the executor of rclpy spinning.
        """
        try:
            text = (
                None
                if instruction is None
                else require_instruction(instruction, self._p.max_characters)
            )
        except WamError as error:
            return Outcome(False, str(error), self._engine.status().epoch)
        outcome = self._engine.reset_within(text, self._p.reset_timeout_s)
        if outcome.ok:
            self._forget()
        what = "memory reset" if text is None else f"instruction '{text}'"
        self._logger.info(
            f"{what}: {'epoch ' + str(outcome.epoch) if outcome.ok else outcome.message}"
        )
        return outcome

    def _on_set_instruction(self, request: Any, response: Any) -> Any:
        outcome = self.reset_to(request.instruction)
        response.ok = outcome.ok
        response.message = outcome.message
        response.epoch = outcome.epoch
        return response

    async def _on_stand_by(self, request: Any, response: Any) -> Any:
        """Follow nothing any more; a prediction under way is thrown away, whenever it ends."""
        done = Future()
        self._engine.stand_by().add_done_callback(lambda f: done.set_result(f.result()))
        outcome = await done
        if outcome.ok:
            self._forget()
        self._logger.info(f"standing by: {outcome.message or 'epoch ' + str(outcome.epoch)}")
        response.success = outcome.ok
        response.message = outcome.message
        return response

    def _on_reset(self, request: Any, response: Any) -> Any:
        outcome = self.reset_to(None)
        response.success = outcome.ok
        response.message = outcome.message
        return response

    async def _on_load_model(self, request: Any, response: Any) -> Any:
        """Swap the model; the executor goes on publishing chunks of the present one meanwhile."""
        model = request.model or self._model
        done = Future()
        swapped = self._engine.swap(lambda: self._load(model, request.checkpoint))
        swapped.add_done_callback(lambda f: done.set_result(f.result()))
        outcome = await done
        policy = self._engine.status().policy
        response.ok = outcome.ok
        response.message = outcome.message
        response.checkpoint_hash = "" if policy is None else policy.checkpoint_hash
        if outcome.ok and policy is not None:
            self._model = model
            self._on_swap(policy)
        self._logger.info(
            f"model '{model}': {response.checkpoint_hash if outcome.ok else outcome.message}"
        )
        return response
