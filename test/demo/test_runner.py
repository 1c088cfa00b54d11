import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.imagination import ImaginationTracker
from wam_ros.core.trace import Trace
from wam_ros.core.types import BridgeState, Decision, Forwarding, SafetyReport, SafetyState
from wam_ros.demo.args import DemoArgs
from wam_ros.demo.episodes import SimEpisode
from wam_ros.demo.errors import LoopError
from wam_ros.demo.rate import RateMeter, SpeedMeter
from wam_ros.demo.runner import Runner

PANDA = load_embodiment("panda")


class FakeLoop:
    """Answers like the loop, on its own clock: one turn of `spin_until` is 0.1 s of the simulated
    scene.
    """

    def __init__(self, lifts_after_s=2.0, lifts="named", vocabulary=("red", "green", "blue")):
        self.lifts_after_s, self.lifts, self.vocabulary = lifts_after_s, lifts, vocabulary
        self.t_s, self.now_s = 0.0, 100.0
        self.calls = []
        self.episode = self.sim = self.strip = self.bridge = None
        self.scene = None
        self.safety, self.at_rest = SafetyState.HOLD, True
        self.observation_ns = 0
        self.redirected = ""
        self.refusals = self.cooling = 0
        self.fault_at_s = None
        self.stuck = False
        self.braking_violates = 0  # steps beyond the velocity limit between disarming and rest
        self.latency, self.imagination, self.chunk_rate = Trace(), ImaginationTracker(), RateMeter()
        self.speed, self.pace, self.standing = SpeedMeter(), None, False

    def stand(self, timeout_s):
        self.calls.append(("stand", True))
        self.standing = True

    def await_standing(self, after_ns, timeout_s):
        assert self.standing
        self.calls.append(("stands",))

    def go_on(self):
        self.calls.append(("go on",))
        self.standing = False

    def instruct(self, text):
        self.calls.append(("instruct", text))
        if not any(word in text for word in self.vocabulary):
            raise WamError("unknown words; the model knows red green blue")
        self.redirected = ""

    def call(self, service, **fields):
        name = service.split("/")[1]
        self.calls.append((name, *fields.values()))
        if name == "arm" and fields["data"]:
            if self.safety == SafetyState.FAULT:
                return SimpleNamespace(success=False, message="not armed: fault")
            if self.refusals > 0:
                self.refusals -= 1
                return SimpleNamespace(success=False, message="joint states are stale")
            self.safety = SafetyState.ARMED
        elif name == "reset" and self.cooling > 0:
            self.cooling -= 1
            return SimpleNamespace(success=False, message="not reset: wait")
        elif (name == "arm" and self.safety == SafetyState.ARMED) or name == "reset":
            self.safety = SafetyState.HOLD
            if self.braking_violates:
                self.sim = replace(self.sim, violations={"velocity": self.braking_violates})
        elif name == "reset_episode":
            colour = fields["colour"] or "red"
            self.scene, self.t_s = (fields["seed"], colour), 0.0
            return SimpleNamespace(ok=True, message="", instruction=f"pick up the {colour} block")
        return SimpleNamespace(success=True, ok=True, message="")

    def spin_until(self, done, timeout_s):
        deadline = self.now_s + timeout_s
        while not done():
            if self.now_s >= deadline:
                return False
            self.turn()
        return True

    def turn(self):
        self.now_s += 0.1
        self.observation_ns = round(self.now_s * 1e9)
        if self.scene is None:
            return
        self.t_s += 0.0 if self.stuck else 0.1
        up = self.episode is not None and self.t_s >= self.lifts_after_s
        named, other = up and self.lifts == "named", up and self.lifts == "other"
        self.sim = SimEpisode(
            stamp_ns=round(self.now_s * 1e9),
            seed=self.scene[0],
            instruction="",
            t_s=self.t_s,
            success=named,
            wrong=other,
            outcome="wrong object" if other else "dropped",
            nudged=False,
        )
        if self.episode is None:
            return
        if self.fault_at_s is not None and self.t_s >= self.fault_at_s:
            self.safety, self.fault_at_s = SafetyState.FAULT, None
        self.episode.on_sim(self.sim)
        self.episode.on_report(
            SafetyReport(0, 0, self.safety, Decision.UNKNOWN, sentence="a sentence")
        )


def run(loop, **given):
    out = io.StringIO()
    runner = Runner(
        loop, DemoArgs(**({"headless": True} | given)), PANDA, Console(file=out, width=200)
    )
    try:
        runner.run()
    finally:
        loop.results, loop.printed = runner.results, out.getvalue()
    return runner.results


def test_each_seed_is_placed_instructed_and_only_then_armed_and_disarmed_again():
    loop = FakeLoop()
    results = run(loop, episodes=2, seed=7, real_time=True)
    assert [(r.seed, r.outcome) for r in results] == [(7, "success"), (8, "success")]
    assert loop.calls == [
        call
        for seed in (7, 8)
        for call in (
            ("arm", False), ("pause", True), ("reset_episode", seed, "", False), ("pause", False),
            ("instruct", "pick up the red block"), ("arm", True),
        )
    ] + [("arm", False)]  # fmt: skip
    assert loop.safety == SafetyState.HOLD


def test_a_world_that_waits_stands_from_before_the_scene_is_placed_until_the_arm_is_armed():
    loop = FakeLoop()
    run(loop, episodes=1, seed=7)
    names = [call[0] for call in loop.calls]
    begins = ["stand", "pause", "reset_episode", "stands", "pause", "instruct", "arm", "go on"]
    assert names == ["arm", *begins, "arm"]
    assert "x real time" in loop.printed


def test_limits_exceeded_on_the_way_to_rest_count_for_the_episode_that_ended():
    loop = FakeLoop()
    loop.braking_violates = 3
    results = run(loop, episodes=2, seed=7)
    assert [r.violations for r in results] == [{"velocity": 3}, {"velocity": 3}]


def test_swapping_names_another_block_on_the_same_scene():
    loop = FakeLoop()
    run(loop, episodes=1, seed=7, swap=True)
    resets = [c for c in loop.calls if c[0] == "reset_episode"]
    assert resets[0] == ("reset_episode", 7, "", False)
    assert resets[1][1] == 7
    assert resets[1][2] in ("green", "blue")
    assert ("instruct", f"pick up the {resets[1][2]} block") in loop.calls


def test_a_given_instruction_sets_what_the_simulator_judges():
    loop = FakeLoop()
    (result,) = run(loop, episodes=1, instruction="grab the green one", nudge=True)
    assert ("reset_episode", 1000, "green", True) in loop.calls
    assert result.instruction == "grab the green one"


def test_an_instruction_without_a_colour_moves_nothing():
    loop = FakeLoop()
    with pytest.raises(WamError, match="must name one block"):
        run(loop, episodes=1, instruction="pick up the block")
    assert ("arm", True) not in loop.calls


def test_a_scene_of_libero_is_asked_for_no_colour():
    loop = FakeLoop(vocabulary=("milk",))
    words = "grab the red milk"
    run(loop, episodes=1, instruction=words, task="libero_object/7", embodiment="libero_panda")
    assert ("reset_episode", 1000, "", False) in loop.calls
    assert ("instruct", words) in loop.calls


def test_an_instruction_that_the_model_refuses_moves_nothing():
    loop = FakeLoop(vocabulary=("green",))
    with pytest.raises(WamError, match="the model knows"):
        run(loop, episodes=1)
    assert ("arm", True) not in loop.calls


@pytest.mark.parametrize(("lifts", "outcome"), [("other", "wrong object"), ("nothing", "dropped")])
def test_failures_are_results_and_the_run_goes_on(lifts, outcome):
    results = run(FakeLoop(lifts=lifts), episodes=2, time_limit=3.0)
    assert [r.outcome for r in results] == [outcome, outcome]
    assert results[0].steps == 30


def test_a_fault_ends_the_episode_and_is_reset_before_the_next():
    loop = FakeLoop()
    loop.fault_at_s = 1.0
    results = run(loop, episodes=2)
    assert [r.outcome for r in results] == ["stopped", "success"]
    assert results[0].note == "a sentence"
    assert loop.calls.count(("reset",)) == 1


def test_a_reset_that_must_wait_is_asked_for_again():
    loop = FakeLoop()
    loop.fault_at_s, loop.cooling = 1.0, 3
    assert [r.outcome for r in run(loop, episodes=2)] == ["stopped", "success"]
    assert loop.calls.count(("reset",)) == 4


def test_arming_is_repeated_for_a_while_and_then_given_up_with_the_reason():
    loop = FakeLoop()
    loop.refusals = 3
    assert run(loop, episodes=1)[0].success
    loop = FakeLoop()
    loop.refusals = 10**6
    with pytest.raises(LoopError, match="joint states are stale"):
        run(loop, episodes=1)


def test_an_arm_that_never_rests_is_not_teleported():
    loop = FakeLoop()
    loop.at_rest = False
    with pytest.raises(LoopError, match="rest"):
        run(loop, episodes=1)
    assert loop.scene is None


def test_a_simulator_whose_time_stands_still_is_noticed():
    loop = FakeLoop(lifts="nothing")
    loop.stuck = True
    with pytest.raises(LoopError, match="stands still"):
        run(loop, episodes=1)


def test_a_pause_by_the_person_is_printed_once_and_the_next_scene_waits_for_its_end():
    class Paused(FakeLoop):
        def turn(self):
            super().turn()
            if self.episode is not None and self.scene[0] == 1000 and self.t_s > 1.0:
                self.bridge = BridgeState(
                    Forwarding.PAUSED, "the bridge is paused [by a test]", str(self.t_s)
                )
            if self.now_s > 150.0:
                self.bridge = BridgeState(Forwarding.FORWARDING, "forwarding")
            if self.scene and self.scene[0] == 1001 and self.episode:
                raise KeyboardInterrupt

        def call(self, service, **fields):
            if fields.get("seed") == 1001:
                assert self.now_s > 150.0
            return super().call(service, **fields)

    loop = Paused()
    with pytest.raises(KeyboardInterrupt):
        run(loop, headless=False)
    assert loop.printed.count("bridge: the bridge is paused [by a test]") == 1
    assert ("reset_episode", 1001, "", False) in loop.calls


def test_a_world_that_waits_goes_on_until_the_emergency_stop_is_reset():
    class Stopped(FakeLoop):
        def turn(self):
            super().turn()
            if self.standing and self.scene:
                self.safety = SafetyState.ESTOP if not self.pressed else self.safety
                self.pressed = True
            elif self.pressed and self.safety == SafetyState.ESTOP:
                self.safety = SafetyState.HOLD
            if self.episode is not None:
                raise KeyboardInterrupt

    loop = Stopped()
    loop.pressed = False
    with pytest.raises(KeyboardInterrupt):
        run(loop, headless=False)
    after = [call[0] for call in loop.calls][-5:]
    assert after == ["instruct", "go on", "stand", "arm", "go on"]


def test_with_somebody_watching_a_new_instruction_lasts_until_the_next(monkeypatch):
    class Redirected(FakeLoop):
        def turn(self):
            super().turn()
            if self.episode is not None and self.scene[0] == 1000:
                self.redirected = "lift the blue cube"
            if self.scene and self.scene[0] == 1002:
                raise KeyboardInterrupt

    loop = Redirected()
    with pytest.raises(KeyboardInterrupt):
        run(loop, headless=False)
    assert [r.instruction for r in loop.results] == ["pick up the red block", "lift the blue cube"]
    assert ("reset_episode", 1001, "blue", False) in loop.calls
