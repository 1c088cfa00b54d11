"""Serves one node from one thread, as rclpy's executor does, without most of what that costs."""

from __future__ import annotations

from typing import Any

from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor, TimeoutException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.subscription import Subscription

from wam_ros.ros.latest import NeverExecuted
from wam_ros.ros.lifecycle import WamNode

AT_ONCE = 20  # callbacks that rclpy's executor may run before topics are looked at again
KINDS = ("subscription", "guard_condition", "timer", "client", "service")  # in the order of a wait set
OURS = 3  # of these are served here


class NodeExecutor(SingleThreadedExecutor):
    """Waits for and serves topics, timers and guard conditions itself, nearly all that happens; rclpy does the rest.

    rclpy's executor makes a task of every callback and builds what it waits for anew twice for each: 0.4 ms of
    processor time for a node with 60 entities, on the way of every message; here it is a fifth of that. rclpy is asked
    when a service, a client or an action has something, and what is in a `WamNode`'s `RareGroup` is looked at when it
    is due.
    """

    def __init__(self, node: Node) -> None:
        super().__init__(context=node.context)
        self.add_node(node)
        self._node, self._rare = node, node.rare if isinstance(node, WamNode) else None
        self._known: list[Any] = []  # entities of the node when `_waits` was made
        self._waits: dict[bool, _Wait] = {}  # without and with what is rare

    def spin_once(self, timeout_sec: float = 0.0) -> None:
        """Wait for something, at most so long, and serve all that is ready.

        Raises:
            ExternalShutdownException: the context was shut down.
        """
        node, rare = self._node, self._rare
        kinds = (node.subscriptions, node.guards, node.timers, node.clients, node.services, node.waitables)
        if (entities := [list(some) for some in kinds]) != self._known:
            self._known, self._waits = entities, {}
        look = rare is not None and rare.due and rare.can_execute(None)  # at what is rare too, without waiting
        if look not in self._waits:
            every = [[e for e in some if look or rare is None or e.callback_group is not rare] for some in entities]
            every[0] = [s for s in every[0] if not isinstance(s.callback_group, NeverExecuted)]
            every[1].append(self._guard)  # rclpy has something of its own to do
            self._waits[look] = _Wait(every, node.context.handle)
        if not node.context.ok():
            raise ExternalShutdownException
        (subscriptions, guards, timers, *others), more = self._waits[look].wait(0.0 if look else timeout_sec)
        for timer in timers:
            _serve_timer(timer)
        for guard in guards:
            if guard is not self._guard:
                guard.callback()
        for subscription in subscriptions:
            _serve_topic(subscription)
        if more or any(others) or self._guard in guards or (look and bool(getattr(self, "_tasks", None))):
            self._serve_others()

    def _serve_others(self) -> None:
        """Let rclpy run what is ready."""
        for _ in range(AT_ONCE):
            try:
                task, _, _ = self.wait_for_ready_callbacks(timeout_sec=0)
            except TimeoutException:
                return
            task()
            if (error := task.exception()) is not None:
                raise error


class _Wait:
    """Waits for entities of `KINDS` and for waitables, the last of the lists."""

    def __init__(self, entities: list[list[Any]], context: Any) -> None:
        *self._entities, self._waitables = entities
        counts = [len(some) for some in self._entities] + [0]
        for waitable in self._waitables:
            own = waitable.get_num_entities()
            counts = [n + getattr(own, f"num_{kind}s") for n, kind in zip(counts, (*KINDS, "event"), strict=True)]
        self._set = rclpy_implementation.WaitSet(*counts, context)
        added = [
            (getattr(self._set, f"add_{kind}"), e)
            for kind, some in zip(KINDS, self._entities, strict=True)
            for e in some
        ]
        served = sum(len(some) for some in self._entities[:OURS])
        self._served, self._others = added[:served], added[served:]

    def wait(self, timeout_s: float) -> tuple[list[list[Any]], bool]:
        """What is ready of each kind, and whether a waitable is. What rclpy would not run now is not waited for."""
        self._set.clear_entities()
        for add, entity in self._served:
            add(entity.handle)
        for add, entity in self._others:
            if entity.callback_group.can_execute(entity):
                add(entity.handle)
        waitables = [w for w in self._waitables if w.callback_group.can_execute(w)]
        for waitable in waitables:
            waitable.add_to_wait_set(self._set)
        self._set.wait(round(timeout_s * 1e9))
        found = []
        for kind, some in zip(KINDS, self._entities, strict=True):
            ready = self._set.get_ready_entities(kind) if some else ()
            found.append([entity for entity in some if entity.handle.pointer in ready] if ready else [])
        return found, any(w.is_ready(self._set) for w in waitables)


def _serve_timer(timer: Any) -> None:
    try:
        with timer.handle:
            if not timer.handle.is_timer_ready():  # cancelled since
                return
            timer.handle.call_timer()
    except InvalidHandle:  # destroyed by a callback that came before
        return
    timer.callback()


def _serve_topic(subscription: Any) -> None:
    try:
        with subscription.handle:
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
    except InvalidHandle:
        return
    if taken is None:
        return
    if subscription._callback_type is Subscription.CallbackType.MessageOnly:
        subscription.callback(taken[0])
    else:
        subscription.callback(*taken)
