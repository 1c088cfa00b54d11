"""Robots of others: `wam embodiment new` from the maker's own file, then 20 smooth chunks.

The files are of the Python package example-robot-data, in an environment of its own:

    python -m venv robots && robots/bin/pip install --no-deps example-robot-data==6.0.0
    python benchmark/robots.py --data robots/lib/python3*/site-packages/cmeel.prefix/share/\
        example-robot-data/robots

`--loop` then moves each in simulation through all nodes, `wam demo` with the script `reach`: three
markers, each a pose near home, at `--rate` times real time. `--keep` is a folder where the robots'
YAML files stay, so that they are not made twice.

`--yam` is the folder of yam.urdf, of its maker's repository (i2rt-robotics/i2rt). A robot that is
in the results already is not tried again: `--again` does. Nothing in a description is edited; what
a person who knows the robot tells about it beside stands in `TOLD`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.files import write_json
from wam_ros.core.types import ActionChunk, KinematicState
from wam_ros.embodiments.review import DOUBTFUL, review
from wam_ros.robot.model import SafetyModel, load_safety_model
from wam_ros.safety.filter import SafetyFilter

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "results" / "robots.json"
CHUNKS = 20
STEPS = 8
AROUND = 0.15  # rad from home, a tenth of it in m
NOW = 10**18
# in the loop: a marker of each colour, which these seeds name; longest way to one
POSES = 3
SEED = 1000
LIMIT_S = 20.0  # simulated

FILES = {
    "Panda": "panda_description/urdf/panda.urdf",
    "UR3": "ur_description/urdf/ur3_robot.urdf",
    "UR5": "ur_description/urdf/ur5_robot.urdf",
    "UR10": "ur_description/urdf/ur10_robot.urdf",
    "UR3 with gripper": "ur_description/urdf/ur3_gripper.urdf",
    "UR5 with gripper": "ur_description/urdf/ur5_gripper.urdf",
    "SO-100": "so_arm_description/urdf/so100.urdf",
    "SO-101": "so_arm_description/urdf/so101.urdf",
    "xArm7": "xarm_description/urdf/xarm7.urdf",
    "Unitree Z1": "z1_description/urdf/z1.urdf",
    "Kinova j2s6s200": "kinova_description/robots/kinova.urdf",
    "Baxter, left arm": "baxter_description/urdf/baxter.urdf",
    "Baxter, both arms": "baxter_description/urdf/baxter.urdf",
    "TIAGo, torso and arm": "tiago_description/robots/tiago.urdf",
    "TIAGo Pro, left arm": "tiago_pro_description/robots/tiago_pro.urdf",
    "Talos, left arm": "talos_data/robots/talos_full_v2.urdf",
    "G1, left arm": "g1_description/urdf/g1_29dof_with_hand_rev_1_0.urdf",
    "B1 with Z1": "b1_description/urdf/b1-z1.urdf",
    "PR2, right arm": "pr2_description/urdf/pr2.urdf",
    "YAM": "yam.urdf",
}
# what the file cannot say: which arm is meant, where a spring or counterweight carries it, which
# effort limits are placeholders
TOLD = {
    "Baxter, left arm": "--arm left --supported-by-spring left_s1",
    "Baxter, both arms": "--supported-by-spring left_s1 right_s1",
    "TIAGo, torso and arm": "--further torso_lift_joint",
    "TIAGo Pro, left arm": "--arm left",
    "Talos, left arm": "--arm left --effort-limit gripper_left_joint 3",
    "G1, left arm": "--arm left",
    "PR2, right arm": "--arm r_ --supported-by-spring r_shoulder_lift_joint r_upper_arm_roll_joint "
    "r_elbow_flex_joint",
    "YAM": "--effort-limit joint1 28 joint2 28 joint3 28 joint4 10 joint5 10 joint6 10 joint7 40 "
    "joint8 40",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the descriptions")
    parser.add_argument("--yam", type=Path, help="folder of yam.urdf")
    parser.add_argument("--only", nargs="*", default=[], help="names of robots")
    parser.add_argument(
        "--again", action="store_true", help="try those that are in the results, too"
    )
    parser.add_argument("--loop", action="store_true", help="three poses through all nodes, too")
    parser.add_argument("--rate", type=float, default=0.5, help="of the loop, times real time")
    parser.add_argument("--keep", type=Path, help="folder of the robots' YAML files")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    if not args.data.is_dir():
        parser.error(f"no folder {args.data}")
    found = json.loads(args.out.read_text()) if args.out.is_file() else {}
    for name, file in FILES.items():
        path = (args.yam or Path()) / file if name == "YAM" else args.data / file
        if (args.only and name not in args.only) or (name == "YAM" and args.yam is None):
            continue
        if name not in found or args.again:
            loop = found.get(name, {}).get("loop")
            found[name] = attempt(name, path) | ({"loop": loop} if loop else {})
            print(row(name, found[name]), flush=True)
        elif not args.loop or "loop" in found[name]:
            continue
        if args.loop and not found[name]["refused"]:
            found[name]["loop"] = in_loop(name, path, args.keep, args.rate)
            print(loop_row(name, found[name]), flush=True)
        ordered = {n: found[n] for n in FILES if n in found}
        write_json(args.out, ordered)
    print("\n".join([*table(found), "", *loop_table(found)]))
    return int(any(r["refused"] or r["passed"] < CHUNKS for r in found.values()))


def make(name: str, path: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """`wam embodiment new`."""
    words = [sys.executable, "-m", "wam_ros.cli", "embodiment", "new", str(path)]
    words += ["--out", str(out), *TOLD.get(name, "").split()]
    return subprocess.run(words, capture_output=True, text=True, cwd=out.parent, check=False)


def in_loop(name: str, path: Path, keep: Path | None, rate: float) -> dict[str, object]:
    """Three poses in the simulated loop through all nodes."""
    with tempfile.TemporaryDirectory(prefix="wam_robots_") as temporary:
        folder = (keep or Path(temporary)).resolve()
        robot = folder / f"{name.replace(' ', '_').replace(',', '')}.yaml"
        if not robot.is_file():
            made = make(name, path, robot)
            if not robot.is_file():
                return {"failure": (made.stderr or made.stdout).strip()[-400:]}
        out = Path(temporary) / "run.json"
        words = [sys.executable, "-m", "wam_ros.cli", "demo", "--headless", "--json", str(out)]
        words += ["--embodiment", str(robot), "--episodes", str(POSES), "--seed", str(SEED)]
        words += ["--rate", str(rate), "--time-limit", str(LIMIT_S), "--logs", f"{temporary}/logs"]
        began = time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True, cwd=temporary, check=False)
        if not out.is_file():
            return {"failure": (done.stderr or done.stdout).strip()[-400:]}
        run = json.loads(out.read_text())
    count: Counter[str] = Counter()
    for episode in run["episodes"]:
        for kind in ("violations", "decisions", "stops"):
            count.update({f"{kind}: {what}": n for what, n in episode[kind].items()})
    return {
        "failure": run["failure"],
        "reached": sum(e["outcome"] == "success" for e in run["episodes"]),
        "exceeded": {k[12:]: n for k, n in count.items() if k.startswith("violations")},
        "decisions": {k[11:]: n for k, n in count.items() if k.startswith("decisions")},
        "stops": {k[7:]: n for k, n in count.items() if k.startswith("stops")},
        "moved_s": round(sum(e["duration_s"] for e in run["episodes"]), 1),
        "rate": rate,
        "wall_s": round(time.perf_counter() - began, 1),
    }


def attempt(name: str, path: Path) -> dict[str, object]:
    """Make the embodiment, load it twice, judge chunks."""
    folder = Path(tempfile.mkdtemp(prefix="wam_robots_"))
    out = folder / "robot.yaml"
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # no mesh was read before
    began = time.perf_counter()
    done = make(name, path, out)
    result: dict[str, object] = {
        "told": TOLD.get(name, ""),
        "refused": "" if done.returncode == 0 else (done.stderr or done.stdout).strip()[-400:],
        "made_s": round(time.perf_counter() - began, 1),
        "passed": 0,
    }
    if not result["refused"]:
        began = time.perf_counter()
        model = load_safety_model(load_embodiment(str(out)))
        result["loaded_s"] = round(time.perf_counter() - began, 2)
        result |= measured(model)
    shutil.rmtree(folder)
    return result


def measured(model: SafetyModel) -> dict[str, object]:
    """What the robot is, and what became of its chunks."""
    e = model.embodiment
    home = np.array(e.home)
    rng = np.random.default_rng(0)
    safety = SafetyFilter(model)
    verdicts = []
    for _ in range(CHUNKS):
        goal = rng.uniform(-AROUND, AROUND, len(home)) * np.where(model.sliding, 0.1, 1.0)
        u = np.arange(1, STEPS + 1)[:, None] / STEPS
        path = home + (10 * u**3 - 15 * u**4 + 6 * u**5) * goal
        path = np.clip(path, model.limits.lower, model.limits.upper)
        chunk = ActionChunk(NOW, 100_000_000, model.joint_names, path)
        verdicts.append(safety.filter(chunk, KinematicState.at_rest(home), NOW, now_ns=NOW))
    decisions = Counter(v.decision.name.lower() for v in verdicts)
    first = next((v.sentence for v in verdicts if v.decision.name.lower() != "pass"), "")
    return {
        "joints": len(e.joint_names),
        "parked": len(model.joints.parked),
        "bodies": len(model.bodies),
        "pairs": len(model.pairs.names),
        "doubtful": sum(r.level == DOUBTFUL for r in review(model)),
        "passed": decisions["pass"],
        "decisions": dict(decisions),
        "first": first,
        "p50_ms": round(float(np.median([v.compute_s for v in verdicts])) * 1e3, 1),
    }


def row(name: str, r: dict[str, object]) -> str:
    """A line of the table."""
    if r["refused"]:
        return f"| {name} | | | | refused: {r['refused']} | | |"
    size = f"{r['joints']}, {r['parked']} | {r['bodies']}, {r['pairs']}"
    return (
        f"| {name} | {size} | {r['doubtful']} | "
        f"{r['passed']} of {CHUNKS} | {r['made_s']} s, {r['loaded_s']} s | {r['p50_ms']} ms |"
    )


def table(found: dict[str, dict[str, object]]) -> list[str]:
    """The results as a page shows them."""
    head = "| robot | joints, parked | bodies, pairs watched | doubtful | chunks that pass "
    head += "| made, loaded | a chunk |"
    return [head, "|---|---|---|---|---|---|---|", *(row(n, found[n]) for n in FILES if n in found)]


def loop_row(name: str, r: dict[str, object]) -> str:
    """A line of the second table."""
    loop = r["loop"]
    if loop["failure"]:
        return f"| {name} | failed: {loop['failure']} | | | | |"
    return f"| {name} | " + " | ".join(loop_cells(loop)) + " |"


def loop_cells(loop: dict[str, object]) -> list[str]:
    """What became of a robot in the loop."""
    decisions = loop["decisions"]
    passed = decisions.get("pass", 0)
    return [
        f"{loop['reached']} of {POSES}",
        counted(loop["exceeded"]),
        f"{passed} of {sum(decisions.values())}",
        counted(loop["stops"]),
        f"{loop['moved_s']} s, {loop['wall_s']:.0f} s",
    ]


def counted(found: dict[str, int]) -> str:
    """Things and how often, in words."""
    return ", ".join(f"{what} {n}" for what, n in found.items()) or "none"


def loop_table(found: dict[str, dict[str, object]]) -> list[str]:
    """What was measured in the loop, as a page shows it."""
    head = (
        "| robot | poses reached | limits exceeded | chunks that pass | stops | moved, whole run |"
    )
    rows = [loop_row(n, found[n]) for n in FILES if "loop" in found.get(n, {})]
    return [head, "|---|---|---|---|---|---|", *rows]


if __name__ == "__main__":
    sys.exit(main())
