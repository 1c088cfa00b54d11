"""The base of every node: lifecycle hooks that may fail loudly, and a main function that ends cleanly."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import rclpy
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from wam_ros.core.errors import WamError
from wam_ros.ros import qos
from wam_ros.ros.environment import ensure
from wam_ros.ros.params import declare, param

T = TypeVar("T")
SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)
_ENTITIES = ("_publishers", "_subscriptions", "_clients", "_services", "_timers", "_guards")
_ACKNOWLEDGE_S = 0.2


@dataclass(frozen=True)
class NodeParams:
    """Parameters that every node has."""

    autostart: bool = param(True, doc="Configure and activate at start; false waits for `ros2 lifecycle`.")


class WamNode(LifecycleNode):
    """A lifecycle node whose hooks are `configure`, `activate`, `deactivate`, `cleanup`.

    A hook raises to say no. `WamError` is the user's to mend: one line, and the node is back in the state before.
    Anything else is ours: one line with the place, then error processing, which cleans up. ROS entities made by
    `configure` are destroyed by clean-up; a hook only undoes what is not ROS, and what `activate` made.

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

    def configure(self) -> None:
        """Build everything; nothing may move or be published."""

    def activate(self) -> None:
        """Begin to work."""

    def deactivate(self) -> None:
        """Stop working; lifecycle publishers still work in here."""

    def cleanup(self) -> None:
        """Give back what `configure` took, as far as it is not a ROS entity. Also called after a failed `configure`."""

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

    def create_publisher(self, msg_type: type, topic: str, qos_profile: Any, **options: Any) -> Any:
        """As in rclpy; an incompatible subscription is reported with both profiles."""
        options.setdefault("event_callbacks", PublisherEventCallbacks(incompatible_qos=self._incompatible(topic, True)))
        return super().create_publisher(msg_type, topic, qos_profile, **options)

    def create_lifecycle_publisher(self, msg_type: type, topic: str, qos_profile: Any, **options: Any) -> Any:
        """As in rclpy; an incompatible subscription is reported with both profiles."""
        options.setdefault("event_callbacks", PublisherEventCallbacks(incompatible_qos=self._incompatible(topic, True)))
        return super().create_lifecycle_publisher(msg_type, topic, qos_profile, **options)

    def create_subscription(
        self, msg_type: type, topic: str, callback: Callable[[Any], None], qos_profile: Any, **options: Any
    ) -> Any:
        """As in rclpy; an incompatible publisher is reported with both profiles."""
        events = SubscriptionEventCallbacks(incompatible_qos=self._incompatible(topic, False))
        options.setdefault("event_callbacks", events)
        return super().create_subscription(msg_type, topic, callback, qos_profile, **options)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _ENTITIES and "_own" in self.__dict__:
            raise AttributeError(f"'{name}' is rclpy's list of what the executor serves: choose another name")
        super().__setattr__(name, value)

    def _incompatible(self, topic: str, publishing: bool) -> Callable[[Any], None]:
        def report(event: Any) -> None:
            self.get_logger().error(qos.incompatibility(self, self.resolve_topic_name(topic), publishing))

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
        for kind, entities in self._entities().items():
            for entity in entities:
                if entity not in self._own[kind]:
                    destroy[kind](entity)
        return result

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


class StopRequest:
    """Set by SIGINT or SIGTERM; one more, when the node had time to end and has not, ends the process at once.

    rclpy's own handlers invalidate the context first, and a node could not say its last words: here it can. The wait is
    because Ctrl-C in a terminal arrives twice, from the terminal and from `ros2 launch`.
    """

    PATIENCE_S = 2.0

    def __init__(self) -> None:
        self._asked_s: float | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    @property
    def asked(self) -> bool:
        """Whether the process was told to end."""
        return self._asked_s is not None

    def _on_signal(self, number: int, frame: Any) -> None:
        now_s = time.monotonic()
        if self._asked_s is None:
            self._asked_s = now_s
        elif now_s - self._asked_s > self.PATIENCE_S:
            os._exit(128 + number)

    def close(self) -> None:
        """The work is done: a late Ctrl-C must not turn a clean end into a death while the interpreter winds up."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def run_node(cls: Callable[[], WamNode], args: list[str] | None = None) -> None:
    """Main function of a node: one node, one process, one single-threaded executor.

    Exits with code 1 and one line when the node cannot be made or started, or when a callback raises.
    """
    ensure()
    stop = StopRequest()
    name = getattr(cls, "__name__", "node")
    node: WamNode | None = None
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = cls()
        _start(node)
        _spin(node, stop)
    except ExternalShutdownException:
        pass
    except Exception as error:
        _fail(name if node is None else node.get_name(), error)
    finally:
        if node is not None and rclpy.ok():
            node.on_shutdown(None)
            node.destroy_node()
        rclpy.try_shutdown()
        stop.close()


def _start(node: WamNode) -> None:
    if not node.params_of(NodeParams).autostart:
        return
    for what, trigger in (("configure", node.trigger_configure), ("activate", node.trigger_activate)):
        if trigger() != SUCCESS:
            raise SystemExit(1)  # the hook has said why
        node.get_logger().debug(f"{what}d")


def _spin(node: WamNode, stop: StopRequest) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while not stop.asked and rclpy.ok():
        try:
            executor.spin_once(timeout_sec=0.1)  # a Python signal handler runs only between two waits
        except rclpy_implementation.RCLError as error:
            # A request for a transition that is impossible in this state raises; it must not end the node.
            if "transition" not in str(error):
                raise
            node.get_logger().error(one_line(error))


def _fail(name: str, error: BaseException) -> NoReturn:
    print(f"[FATAL] [{name}]: {one_line(error)}", file=sys.stderr, flush=True)
    raise SystemExit(1) from None
