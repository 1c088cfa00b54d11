"""`wam calibrate joints`: known units, ways and zeros are found again, nonsense is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wam_ros import cli
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.resources import config_path
from wam_ros.robot.joints import load_joints

SO101 = load_embodiment("so101")
LIMITS = load_joints(SO101).limits
SPAN = LIMITS.upper - LIMITS.lower


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "mine.yaml").write_text(config_path("embodiments", "so101").read_text())
    return tmp_path


def calibrate(here, rows, *words) -> int:
    (here / "rows.csv").write_text("\n".join(("joint,driver,position", *rows)) + "\n")
    return cli.main(["calibrate", "joints", "mine.yaml", "rows.csv", *words])


KNOWN = {
    "rad": (1.0, 0.0),
    "degrees": (math.pi / 180, 0.2),
    "degrees, the other way": (-math.pi / 180, -0.1),
    "ticks": (2 * math.pi / 4096, -math.pi),
}


@pytest.mark.parametrize("unit", KNOWN)
def test_a_known_driver_is_found_from_three_rows_that_are_not_exact(unit, here):
    factor, zero = KNOWN[unit]
    rows = []
    for name, q0 in zip(SO101.joint_names[:5], SO101.home[:5], strict=True):
        for q, slip in ((q0 - 0.5, 0.01), (q0, -0.005), (q0 + 0.5, -0.01)):
            rows.append(f"{name},{(q + slip - zero) / factor},{q}")
    assert calibrate(here, rows) == 0
    e = load_embodiment("mine.yaml")
    for name in SO101.joint_names[:5]:
        assert e.driver[name].factor == pytest.approx(factor, rel=1e-9), "the unit's own number"
        assert e.driver[name].zero == pytest.approx(zero, abs=0.02)


def test_per_cent_of_lerobot_become_radians_from_the_stops(here, capsys):
    rows = []
    for name in SO101.joint_names:
        low, high = (0, 100) if name == "gripper" else (-100, 100)
        if name == "elbow_flex":
            low, high = high, low
        rows += [f"{name},{low},lower", f"{name},{high},upper"]
    assert calibrate(here, rows) == 0
    driver = load_embodiment("mine.yaml").driver
    for k, name in enumerate(SO101.joint_names):
        ends = (0, 100) if name == "gripper" else (-100, 100)
        found = [driver[name].factor * v + driver[name].zero for v in ends]
        wanted = [LIMITS.lower[k], LIMITS.upper[k]]
        assert found == pytest.approx(wanted[::-1] if name == "elbow_flex" else wanted, abs=1e-5)
    said = capsys.readouterr().out
    assert "per cent of half its range" in said
    assert "the other" in said
    assert "6 joints are written into mine.yaml" in said


def test_the_rest_of_the_file_stays_and_a_second_run_replaces_the_first(here):
    before = (here / "mine.yaml").read_text()
    assert calibrate(here, ["wrist_roll,-50,-1.0", "wrist_roll,50,1.0"], "--out", "other.yaml") == 2
    rows = ["wrist_roll,-57.3,-1.0", "wrist_roll,57.3,1.0"]
    assert calibrate(here, rows) == 0
    text = (here / "mine.yaml").read_text()
    assert text.startswith(before)
    assert calibrate(here, [r.replace("57.3", "1.0") for r in rows]) == 0
    assert (here / "mine.yaml").read_text().count("wrist_roll") == text.count("wrist_roll")
    assert load_embodiment("mine.yaml").driver["wrist_roll"].factor == 1.0


NONSENSE = {
    "one row": (["wrist_flex,3,0.5"], "1 rows 0 rad apart: two at least"),
    "too near": (["wrist_flex,3,0.5", "wrist_flex,4,0.51"], "rad apart: two at least"),
    "no line": (
        ["wrist_flex,-50,-1", "wrist_flex,0,0.9", "wrist_flex,50,1"],
        "beside a line: no one unit fits",
    ),
    "no unit": (["wrist_flex,-10,-1", "wrist_flex,10,1"], "one of the driver's units is 0.1 rad"),
    "beyond": (["wrist_flex,-57.3,-1", "wrist_flex,300,5.2"], "beyond its limits"),
    "unknown joint": (["wrist,0,0", "wrist,1,1"], "unknown joint in rows.csv, line 2 'wrist'"),
    "unknown word": (["wrist_flex,0,left"], "a position is a number, lower, upper, home"),
    "no number": (["wrist_flex,nan,0"], "finite"),
    "nothing": ([], "has no rows; its columns are joint, driver, position"),
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_is_refused_by_name_and_nothing_is_written(kind, here, capsys):
    rows, complaint = NONSENSE[kind]
    before = (here / "mine.yaml").read_text()
    assert calibrate(here, rows) == 2
    assert complaint in capsys.readouterr().err
    assert (here / "mine.yaml").read_text() == before


def test_everything_that_is_wrong_is_told_at_once(here, capsys):
    assert calibrate(here, ["wrist_flex,3,0.5", "wrist_roll,-10,-1", "wrist_roll,10,1"]) == 2
    said = capsys.readouterr().err
    assert "wrist_flex: " in said
    assert "wrist_roll: " in said


def test_a_recording_of_the_driver_is_read_by_it():
    import dataclasses

    from wam_ros.core.embodiment import Reading
    from wam_ros.rehearsal.take import Series, _as_urdf

    e = dataclasses.replace(SO101, driver={"gripper": Reading(-0.01, 1.7)})
    said = {n: Series(np.arange(3.0), np.array([0.0, 50.0, 100.0])) for n in SO101.joint_names}
    read = _as_urdf(said, e)
    np.testing.assert_allclose(read["gripper"].values, [1.7, 1.2, 0.7])
    assert read["wrist_flex"] is said["wrist_flex"]
