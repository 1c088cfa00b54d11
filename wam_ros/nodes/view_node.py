"""The loop to look at: a page in the browser, which also takes instructions, arming, pauses and the
emergency stop, and pictures for RViz.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any

from rclpy.clock import Clock, ClockType
from std_srvs.srv import SetBool, Trigger

from wam_ros.core.drivers import shown_on
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.listening import is_loopback, listen, tls_context
from wam_ros.core.types import NS
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.running import keep_memory, run_node
from wam_ros.ros.view_node.board import BoardPublisher
from wam_ros.ros.view_node.frames import FramePublisher
from wam_ros.ros.view_node.ghosts import GhostPublisher
from wam_ros.ros.view_node.listener import EVERYTHING, LoopListener
from wam_ros.ros.view_node.parameters import ViewParams
from wam_ros.ros.view_node.picture import Picture
from wam_ros.ros.view_node.solids import solids_of_world
from wam_ros.srv import SetInstruction, StartTask
from wam_ros.view.access import Access, make_token
from wam_ros.view.history import History
from wam_ros.view.model import ViewModel
from wam_ros.view.protocol import TAKES, Perform
from wam_ros.view.scene import make_scene
from wam_ros.view.server import Action, PageServer
from wam_ros.view.wire import Encoder, pack, to_json

_ASKED_S = 1.0  # a service that has not answered so long is asked again


class ViewNode(WamNode):
    """Wires a `ViewModel` to topics, a `PageServer` and RViz's pictures to timers; buttons become
    service calls.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("view_node", ViewParams, **options)
        self._opened = contextlib.ExitStack()
        self._draws = False
        self._token = ""

    def configure(self) -> None:
        """Serve the page, if there is to be one, and listen."""
        p: ViewParams = self.params
        robot = load_embodiment(p.embodiment)
        self._model = ViewModel(robot.joint_names, round(NS / robot.frame_rate_hz))
        self._history = History()
        self._encoder = Encoder()
        self.listener = LoopListener(self, self._model, shown_on(robot))
        self.frames = FramePublisher(self, robot, p.tf_prefix, self._look)
        self._pictures: list[Picture] = [
            BoardPublisher(self, robot.view_names, p.board_hz, self._look),
            GhostPublisher(self, robot, p.tf_prefix, hz=p.image_hz, on_matched=self._look),
            self.frames,
        ]
        self._asked: dict[str, tuple[Any, float]] = {}
        self._callees: dict[str, Any] = {}
        self._server: PageServer | None = None
        if p.port:
            self._callees = self._make_callees()
            self._serve(make_scene(robot, solids_of_world(p.world or robot.world)))

    def _make_callees(self) -> dict[str, Any]:
        """A client for each button."""
        return {
            "estop": self.create_client(Trigger, "safety_node/estop"),
            "pause": (pause := self.create_client(SetBool, "bridge_node/pause")),
            "resume": pause,
            "arm": (arm := self.create_client(SetBool, "safety_node/arm")),
            "disarm": arm,
            "reset": self.create_client(Trigger, "safety_node/reset"),
            "home": self.create_client(Trigger, "bridge_node/home"),
            "forget": self.create_client(Trigger, "safety_node/forget_sources"),
            "instruct": self.create_client(SetInstruction, "inference_node/set_instruction"),
            "task": self.create_client(StartTask, "task_node/start"),
            "cancel": self.create_client(Trigger, "task_node/cancel"),
            **{
                name: self.create_client(
                    SetBool if service == "mark" else Trigger, f"recorder_node/{service}"
                )
                for name, service in TAKES.items()
            },
        }

    def _serve(self, scene: dict[str, Any]) -> None:
        p: ViewParams = self.params
        self._token = self._token or make_token()
        tls = tls_context(p.tls_certificate, p.tls_key)
        access = Access(p.host, p.port, self._token, secure=tls is not None)
        news = self.create_guard_condition(self._on_news)
        server = PageServer(
            access=access,
            listening=listen(p.port, p.host),
            assets=scene,
            history=self._history,
            on_action=news.trigger,
            on_change=news.trigger,
            tls=tls,
        )
        self._server = server
        self._opened.callback(server.close)
        if not is_loopback(p.host):
            risk = "" if tls else "; without TLS everybody on the network can read that link"
            self.get_logger().warning(
                f"listening on {p.host}: whoever reaches port {p.port} and has the link of this "
                f"start can move the robot{risk}"
            )
        # not by the logger: everybody on the ROS network hears that
        print(f"open {access.address}", flush=True)

    def activate(self) -> None:
        """Draw for whoever looks from now on."""
        # a person watches in their own time, also when that of a simulation stands still
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._redraws: dict[Callable[[], None], tuple[float, Any]] = {}
        self._draws = True
        self._look()

    def deactivate(self) -> None:
        """Leave the page as it is."""
        self._draws = False
        for _, timer in self._redraws.values():
            self.destroy_timer(timer)
        self.frames.attend(False)
        self.listener.attend(())

    def cleanup(self) -> None:
        """Stop serving."""
        self._opened.close()

    @property
    def _page(self) -> PageServer | None:
        """The page, while somebody watches it."""
        server = self._server
        return server if server is not None and server.watched else None

    def _look(self) -> None:
        """Hear and redraw what somebody looks at, and nothing else; called when that may have
        changed. Whoever wakes up to see who looks spends a percent of a core on every ten times a
        second.
        """
        if not self._draws:
            return
        p: ViewParams = self.params
        page = self._page is not None
        watched = [picture for picture in self._pictures if picture.watched]
        self.frames.attend(self.frames in watched)
        topics = EVERYTHING if page else _heard_by(watched)
        self.listener.attend(topics)
        self._redraw(self._draw_arm, p.arm_hz if page else 0.0)
        self._redraw(self._draw_rest, p.image_hz if page else 0.0)
        self._redraw(self._draw_pictures, max((picture.hz for picture in watched), default=0.0))

    def _redraw(self, draw: Callable[[], None], hz: float) -> None:
        """Call it so many times a second from now on; 0: no more."""
        now_hz, timer = self._redraws.get(draw, (0.0, None))
        if hz == now_hz:
            return
        if timer is not None:
            self.destroy_timer(timer)
            del self._redraws[draw]
        if hz:
            self._redraws[draw] = hz, self.create_timer(1 / hz, draw, clock=self._steady)

    def _draw_arm(self) -> None:
        self.listener.hear()
        if (page := self._page) is not None:
            q = self._model.joints
            page.show("pose", to_json({"type": "pose", "q": q, "objects": self.listener.objects}))

    def _draw_pictures(self) -> None:
        """All that RViz shows, in one waking up for the one that comes most often."""
        now_s = time.monotonic()
        hz, _ = self._redraws[self._draw_pictures]
        turn = [p for p in self._pictures if p.watched and p.takes_turn(now_s, 1 / hz)]
        self.listener.hear(_heard_by(turn))
        for picture in turn:
            picture.show(self._model)

    def _draw_rest(self) -> None:
        """One moment: it is shown, and kept for the timeline."""
        page = self._page
        if page is None:
            return
        head = self._model.head(self.get_clock().now().nanoseconds)
        columns = self._model.columns()
        images = [image for images in self._encoder.encode(columns) for image in images]
        head |= {
            "objects": self.listener.objects,
            "columns": [{"kind": c.kind, "ahead_s": c.ahead_s} for c in columns],
        }
        now_s = time.monotonic()
        moment = pack({**head, "n": self._history.next_number, "t": now_s}, images)
        self._history.add(now_s, head["figures"], moment)
        page.show("moment", moment)

    def _on_news(self) -> None:
        """Something was pressed, a page came or left, or the server is in trouble."""
        server = self._server
        if server is None:
            return
        for action in server.take_actions():
            self._call(action)
        if trouble := server.trouble:
            server.trouble = ""
            self.get_logger().error(trouble, throttle_duration_sec=2.0)
        self._look()

    def _call(self, action: Action) -> None:
        """Ask the service of a button; while it has not answered, pressing again asks nothing
        new.
        """
        name = action.name
        client = self._callees[name]
        if not client.service_is_ready():
            self._model.answer = f"{name}: {client.srv_name} is not there"
            return
        now_s = time.monotonic()
        asked, since_s = self._asked.get(name, (None, 0.0))
        if asked is not None and not asked.done():
            if now_s - since_s < _ASKED_S and name not in ("instruct", "task"):
                return
            client.remove_pending_request(asked)
        fields: dict[str, Any] = {"instruct": {"instruction": action.text}}
        if name == "task":
            first, *then = Perform(action.text).instructions
            fields["task"] = {"instruction": first, "then": then}
        fields |= {
            name: {"data": name in ("arm", "pause", "good")}
            for name in ("arm", "disarm", "pause", "resume", "good", "bad")
        }
        future = client.call_async(client.srv_type.Request(**fields.get(name, {})))
        self._asked[name] = future, now_s
        future.add_done_callback(lambda done: self._on_answer(name, done))

    def _on_answer(self, name: str, done: Any) -> None:
        if done.cancelled() or (answer := done.result()) is None:
            return
        ok = answer.ok if hasattr(answer, "ok") else answer.success
        self._model.answer = f"{name}: {answer.message or ('done' if ok else 'refused')}"


def _heard_by(pictures: Iterable[Picture]) -> frozenset[str]:
    """All that they are drawn of."""
    return frozenset(topic for picture in pictures for topic in picture.hears)


def main() -> None:
    """Run the node."""
    keep_memory()  # a board is a megabyte
    run_node(ViewNode)


if __name__ == "__main__":
    main()
