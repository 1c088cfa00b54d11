"""The base of every node: lifecycle hooks that may fail loudly; `running` is its main function."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from wam_ros.core.errors import WamError
from wam_ros.ros import qos
from wam_ros.ros.params import declare, param

T = TypeVar("T")
SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR
_ENTITIES = ("_publishers", "_subscriptions", "_clients", "_services", "_timers", "_guards")
_ACKNOWLEDGE_S = 0.2


@dataclass(frozen=True)
class NodeParams:
    """Parameters that every node has."""

    autostart: bool = param(
        True, doc="Configure and activate at start; false waits for `ros2 lifecycle`."
    )


class RareGroup(ReentrantCallbackGroup):
    """What an executor need not wait for each time: services for parameters and transitions, events
    of publishers.

    rclpy builds what it waits for anew twice for every callback, and a node has 30 such entities
    that hardly ever say anything: half of the processor time of a wait. They are looked at for
    `OPEN_S` every `period_s` instead.
    """

    PERIOD_S = 0.1
    COMPLAINTS_S = 1.0  # of what only complains: every topic has one or two of these
    OPEN_S = 0.003

    def __init__(self, period_s: float = PERIOD_S) -> None:
        super().__init__()
        self._period_s = period_s
        self._opened_s = -period_s

    def can_execute(self, entity: Any) -> bool:
        """Asked before every wait, and after it once more for what has become ready."""
        now_s = time.monotonic()
        if now_s - self._opened_s >= self._period_s:
            self._opened_s = now_s
        return now_s - self._opened_s < self.OPEN_S


class WamNode(LifecycleNode):
    """A lifecycle node whose hooks are `configure`, `activate`, `deactivate`, `cleanup`.

    A hook raises to say no. `WamError` is the user's to mend: one line, and the node is back in the
    state before. Anything else is ours: one line with the place, then error processing, which
    cleans up. ROS entities made by `configure` are destroyed by clean-up; a hook only undoes what
    is not ROS, and what `activate` made.

    Args:
        name: node name.
        classes: dataclasses of its parameters; `params` is an instance of the first one.
        options: of `rclpy.node.Node`.
    """

    def __init__(self, name: str, *classes: type, **options: Any) -> None:
        self._configured = self._active = False
        super().__init__(name, **options)
        self._first = classes[0] if classes else NodeParams
        self._declared = declare(self, *classes, NodeParams, locked=lambda: self._configured)
        self._own = self._entities()
        self._rare = RareGroup()
        self._complaints = RareGroup(RareGroup.COMPLAINTS_S)
        for entity in (*self.services, *self.waitables):
            entity.callback_group = self._rare

    def configure(self) -> None:
        """Build everything; nothing may move or be published."""

    def activate(self) -> None:
        """Begin to work."""

    def deactivate(self) -> None:
        """Stop working; lifecycle publishers still work in here."""

    def cleanup(self) -> None:
        """Give back what `configure` took, as far as it is not a ROS entity. Also called after a
        failed `configure`.
        """

    @property
    def active(self) -> bool:
        """Whether the node works; an inactive node is silent."""
        return self._active

    @property
    def params(self) -> Any:
        """The values of the first parameter class."""
        return self._declared[self._first]

    def params_of(self, cls: type[T]) -> T:
        """The values of one of the other parameter classes."""
        return self._declared[cls]

    @property
    def params_classes(self) -> tuple[type, ...]:
        """Every parameter class, the first one first."""
        return self._declared.classes

    def on_configure(self, state: Any) -> TransitionCallbackReturn:
        """Run `configure`; a half-built node is taken apart again."""
        result = self._attempt("configure", self.configure)
        if result != SUCCESS:
            self._clean_up()
            return result
        self._configured = True
        return super().on_configure(state)

    def on_activate(self, state: Any) -> TransitionCallbackReturn:
        """Open the publishers, then run `activate`."""
        super().on_activate(state)
        result = self._attempt("activate", self.activate)
        if result == SUCCESS:
            self._active = True
        else:
            super().on_deactivate(state)
        return result

    def on_deactivate(self, state: Any) -> TransitionCallbackReturn:
        """Run `deactivate`, then close the publishers."""
        self._active = False
        result = self._attempt("deactivate", self.deactivate)
        super().on_deactivate(state)
        return result

    def on_cleanup(self, state: Any) -> TransitionCallbackReturn:
        """Run `cleanup` and destroy what `configure` made."""
        return self._clean_up()

    def on_shutdown(self, state: Any) -> TransitionCallbackReturn:
        """Whatever the state: deactivate, let the last words arrive, clean up."""
        if self._active:
            self.on_deactivate(state)
            for publisher in self._publishers:
                publisher.wait_for_all_acked(Duration(seconds=_ACKNOWLEDGE_S))
        if self._configured:
            self._clean_up()
        return SUCCESS

    def on_error(self, state: Any) -> TransitionCallbackReturn:
        """Take everything apart, so that the node can be configured again."""
        self._active = False
        return self._clean_up() if self._configured else SUCCESS

    def create_publisher(
        self,
        msg_type: type,
        topic: str,
        qos_profile: Any,
        *,
        on_matched: Callable[[], None] | None = None,
        **options: Any,
    ) -> Any:
        """As in rclpy; an incompatible subscription is reported with both profiles.

        Args:
            msg_type: of the messages.
            topic: name.
            qos_profile: that is offered.
            on_matched: called when somebody begins or ceases to listen, a tenth of a second later.
            options: of rclpy.
        """
        matched = None if on_matched is None else lambda _event: on_matched()
        options.setdefault(
            "event_callbacks",
            PublisherEventCallbacks(
                incompatible_qos=self._incompatible(topic, True), matched=matched
            ),
        )
        publisher = super().create_publisher(msg_type, topic, qos_profile, **options)
        return self._with_rare_events(publisher, matched)

    def create_lifecycle_publisher(
        self, msg_type: type, topic: str, qos_profile: Any, **options: Any
    ) -> Any:
        """As in rclpy; an incompatible subscription is reported with both profiles."""
        options.setdefault(
            "event_callbacks",
            PublisherEventCallbacks(incompatible_qos=self._incompatible(topic, True)),
        )
        return self._with_rare_events(
            super().create_lifecycle_publisher(msg_type, topic, qos_profile, **options)
        )

    def create_subscription(
        self,
        msg_type: type,
        topic: str,
        callback: Callable[..., None],
        qos_profile: Any,
        **options: Any,
    ) -> Any:
        """As in rclpy; an incompatible publisher is reported with both profiles."""
        events = SubscriptionEventCallbacks(incompatible_qos=self._incompatible(topic, False))
        options.setdefault("event_callbacks", events)
        return self._with_rare_events(
            super().create_subscription(msg_type, topic, callback, qos_profile, **options)
        )

    def _with_rare_events(self, entity: Any, matched: Callable[[Any], None] | None = None) -> Any:
        """Let its events be heard now and then: that somebody listens sooner than what only
        complains.
        """
        if "_rare" in self.__dict__:  # not yet while rclpy builds the node
            for handler in entity.event_handlers:
                soon = matched is not None and handler.callback is matched
                handler.callback_group = self._rare if soon else self._complaints
        return entity

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _ENTITIES and "_own" in self.__dict__:
            raise AttributeError(
                f"'{name}' is rclpy's list of what the executor serves: choose another name"
            )
        super().__setattr__(name, value)

    def _incompatible(self, topic: str, publishing: bool) -> Callable[[Any], None]:
        def report(event: Any) -> None:
            self.get_logger().error(
                qos.incompatibility(self, self.resolve_topic_name(topic), publishing)
            )

        return report

    def _attempt(self, what: str, hook: Callable[[], None]) -> TransitionCallbackReturn:
        """Run a hook: rclpy would swallow its exception without a word."""
        try:
            hook()
        except WamError as error:
            self.get_logger().error(str(error))
            return FAILURE
        except Exception as error:
            self.get_logger().error(f"{what}: {one_line(error)}")
            self.get_logger().debug(traceback.format_exc())
            return ERROR
        return SUCCESS

    def _clean_up(self) -> TransitionCallbackReturn:
        self._configured = False
        result = self._attempt("cleanup", self.cleanup)
        destroy: dict[str, Callable[[Any], Any]] = {
            "_publishers": self._destroy_publisher,
            "_subscriptions": self.destroy_subscription,
            "_clients": self.destroy_client,
            "_services": self.destroy_service,
            "_timers": self.destroy_timer,
            "_guards": self.destroy_guard_condition,
        }
        for kind, entities in self.made_entities().items():
            for entity in entities:
                destroy[kind](entity)
        return result

    def made_entities(self) -> dict[str, list[Any]]:
        """Publishers, subscriptions and all else that the hooks made, by rclpy's name for the list:
        what rclpy gives to every node is left out.
        """
        return {
            kind: [entity for entity in entities if entity not in self._own[kind]]
            for kind, entities in self._entities().items()
        }

    def _entities(self) -> dict[str, list[Any]]:
        return {kind: list(getattr(self, kind)) for kind in _ENTITIES}

    def _destroy_publisher(self, publisher: Any) -> None:
        if publisher in self._managed_entities:
            self.destroy_lifecycle_publisher(publisher)
        else:
            self.destroy_publisher(publisher)


def one_line(error: BaseException) -> str:
    """An exception in one line: message, and for one that is not the user's its type and place."""
    text = " ".join(str(error).split())
    if isinstance(error, WamError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{place}"
