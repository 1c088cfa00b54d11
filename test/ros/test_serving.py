"""The executor of a node's process: it serves what rclpy's serves, from whatever thread it comes, and nothing twice."""

import threading

import pytest

pytest.importorskip("rclpy")

import rclpy
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import Int32
from std_srvs.srv import Trigger

from wam_ros.ros import qos
from wam_ros.ros.latest import Latest
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.serving import NodeExecutor

from .conftest import DOMAIN

pytestmark = pytest.mark.ros


@pytest.fixture
def served(arena):
    """A node with its executor, and a function that spins both it and the observer until a condition holds."""
    node = WamNode("served", context=arena.context)
    executor = NodeExecutor(node)
    yield node, executor, lambda condition: arena.until(condition, lambda: executor.spin_once(timeout_sec=0.01))
    executor.shutdown()
    node.destroy_node()


def test_topics_timers_and_guard_conditions_are_served(arena, served):
    node, _, until = served
    heard, raw, informed, ticks, woken = [], [], [], [], []
    node.create_subscription(Int32, "in", heard.append, qos.STATUS)
    node.create_subscription(Int32, "in", raw.append, qos.STATUS, raw=True)
    node.create_subscription(Int32, "in", lambda m, info: informed.append((m.data, info)), qos.STATUS)
    node.create_timer(0.005, lambda: ticks.append(1))
    guard = node.create_guard_condition(lambda: woken.append(1))
    publisher = arena.observer.create_publisher(Int32, "in", qos.STATUS)
    until(lambda: publisher.get_subscription_count() == 3)
    publisher.publish(Int32(data=7))
    threading.Thread(target=guard.trigger).start()
    until(lambda: heard and raw and informed and woken and len(ticks) > 3)
    assert [m.data for m in heard] == [7]
    assert isinstance(raw[0], bytes)
    assert informed[0][0] == 7
    assert "source_timestamp" in informed[0][1]
    assert len(woken) == 1


def test_services_clients_and_parameters_are_served(arena, served):
    from rcl_interfaces.srv import ListParameters

    node, _, until = served

    def ping(_request, response):
        response.success, response.message = True, "pong"
        return response

    async def patient(_request, response):
        response.message = (await client.call_async(Trigger.Request())).message
        return response

    arena.observer.create_service(Trigger, "far", ping)
    node.create_service(Trigger, "~/ping", ping)
    node.create_service(Trigger, "~/patient", patient, callback_group=ReentrantCallbackGroup())
    client = node.create_client(Trigger, "far")
    asked = {
        "served/ping": (Trigger, lambda r: r.message == "pong"),
        "served/patient": (Trigger, lambda r: r.message == "pong"),
        "served/list_parameters": (ListParameters, lambda r: "autostart" in r.result.names),
    }
    for name, (kind, right) in asked.items():
        caller = arena.observer.create_client(kind, name)
        until(lambda caller=caller: caller.service_is_ready() and client.service_is_ready())
        answer = caller.call_async(kind.Request())
        until(answer.done)
        assert right(answer.result())


def test_a_request_that_must_wait_for_another_does_not_keep_it_busy(arena, served, monkeypatch):
    node, executor, until = served
    done, began, asked = Future(), [], []

    async def patient(_request, response):
        began.append(1)
        response.message = await done
        return response

    node.create_service(Trigger, "~/patient", patient)
    node.create_service(Trigger, "~/next", lambda _request, response: response)
    callers = [arena.observer.create_client(Trigger, f"served/{name}") for name in ("patient", "next")]
    until(lambda: all(caller.service_is_ready() for caller in callers))
    first = callers[0].call_async(Trigger.Request())
    until(lambda: began)
    second = callers[1].call_async(Trigger.Request())
    arena.spin(0.2)
    monkeypatch.setattr(executor, "_serve_others", lambda own=executor._serve_others: (asked.append(1), own()))
    for _ in range(100):
        executor.spin_once(timeout_sec=0.001)
    assert len(asked) < 50
    assert not second.done()
    done.set_result("at last")
    until(lambda: first.done() and second.done())
    assert first.result().message == "at last"


def test_what_a_callback_destroys_is_not_served_any_more(served):
    node, executor, until = served
    ticks, later = [], []

    def end(own):
        ticks.append(own)
        for timer in timers:
            node.destroy_timer(timer)

    timers = [node.create_timer(0.001, lambda k=k: end(k)) for k in range(2)]
    while not all(timer.is_ready() for timer in timers):
        pass
    executor.spin_once(timeout_sec=0.01)
    assert len(ticks) == 1
    node.create_timer(0.001, lambda: later.append(1))
    until(lambda: len(later) > 5)


def test_what_is_only_looked_at_wakes_nobody(arena, served):
    node, _, until = served
    latest, heard = Latest(node, Int32, "in", reliable=True), []
    node.create_subscription(Int32, "in", heard.append, qos.STATUS)
    publisher = arena.observer.create_publisher(Int32, "in", qos.STATUS)
    until(lambda: publisher.get_subscription_count() == 2)
    publisher.publish(Int32(data=3))
    until(lambda: heard)
    assert latest.take().data == 3


@pytest.mark.parametrize("kind", ["timer", "service"])
def test_what_a_callback_raises_is_raised(arena, served, kind):
    node, _, until = served

    def fail(*_):
        raise KeyError("lost")

    if kind == "timer":
        node.create_timer(0.001, fail)
    else:
        node.create_service(Trigger, "~/fail", fail)
        caller = arena.observer.create_client(Trigger, "served/fail")
        until(caller.service_is_ready)
        caller.call_async(Trigger.Request())
    with pytest.raises(KeyError, match="lost"):
        until(lambda: False)


def test_a_context_that_was_shut_down_ends_it():
    context = Context()
    rclpy.init(args=[], context=context, domain_id=DOMAIN)
    node = Node("alone", context=context)  # no node of this package: nothing of it is rare
    executor = NodeExecutor(node)
    executor.spin_once(timeout_sec=0.01)
    rclpy.shutdown(context=context)
    with pytest.raises(ExternalShutdownException):
        executor.spin_once(timeout_sec=0.01)
