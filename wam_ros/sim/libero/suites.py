"""Names of LIBERO's tasks, known without LIBERO.

Liu et al., "LIBERO: Benchmarking knowledge transfer for lifelong robot learning" (2023), and
LIBERO-PRO (2025), which has each of four suites once more with one thing changed: where objects
stand (`swap`), what they look like (`object`), what the sentence says (`lan`) and what is asked for
(`task`).
"""

from __future__ import annotations

from wam_ros.core.errors import WamError, require_known

_FOUR = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
# suite -> number of tasks
SUITES = {
    **dict.fromkeys(_FOUR, 10),
    "libero_90": 90,
    **{f"{suite}_{change}": 10 for suite in _FOUR for change in ("swap", "object", "lan", "task")},
}
# view of the embodiment -> camera of LIBERO
CAMERAS = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}
# Of an episode, s: the control steps at 20 Hz that evaluations allow since OpenVLA's (Kim et al.,
# 2024), a little more than the longest demonstration of the suite took.
LIMITS_S = {
    "libero_spatial": 11.0,
    "libero_object": 14.0,
    "libero_goal": 15.0,
    "libero_10": 26.0,
    "libero_90": 20.0,
}
# What the arm stands at, by name in config/worlds; kitchens have the same table as the suites that
# say nothing of a room. Rows: suite, its first task of which this holds, what.
_STANDS_AT = (
    ("libero_object", 0, "floor"),
    ("libero_spatial", 0, "libero_table"),
    ("libero_goal", 0, "libero_table"),
    ("libero_10", 0, "libero_living_room"),
    ("libero_10", 2, "libero_table"),
    ("libero_10", 4, "libero_living_room"),
    ("libero_10", 5, "libero_study"),
    ("libero_10", 6, "libero_living_room"),
    ("libero_10", 8, "libero_table"),
    ("libero_90", 0, "libero_table"),
    ("libero_90", 46, "libero_living_room"),
    ("libero_90", 73, "libero_study"),
)
# Scenes of seeds from here on are the official initial states, in their order; those before it are
# drawn by LIBERO itself. Judges use the former, demonstrations the latter.
OFFICIAL = 900_000


def is_libero(task: str) -> bool:
    """Whether a task's name means one of LIBERO's, or a suite of them."""
    return task.startswith("libero")


def tasks_in(name: str) -> list[str]:
    """Every task of a suite, `libero_object/0` and so on; the one itself where it is one.

    Raises:
        WamError: no such suite, or no such task in it.
    """
    suite, slash, number = name.partition("/")
    count = SUITES[require_known("LIBERO suite", suite, SUITES)]
    if not slash:
        return [f"{suite}/{i}" for i in range(count)]
    if not number.isdecimal() or int(number) >= count:
        raise WamError(f"'{name}': {suite} has tasks 0 to {count - 1}, such as '{suite}/0'")
    return [f"{suite}/{int(number)}"]


def read_task(name: str) -> tuple[str, int]:
    """Suite and number of one task; raises `WamError` for what is none, or more than one."""
    tasks = tasks_in(name)
    if len(tasks) > 1:
        raise WamError(f"'{name}' is a suite: one task of it is '{tasks[0]}'")
    suite, _, number = tasks[0].partition("/")
    return suite, int(number)


def limit_s(task: str) -> float:
    """How long judges let an episode of a task last, s; one of LIBERO-PRO as the one it changed."""
    suite, _ = read_task(task)
    return LIMITS_S[_changed(suite)]


def surroundings(task: str) -> str:
    """What the arm of a task stands at, by its name in config/worlds."""
    suite, number = read_task(task)
    base = _changed(suite)
    found = [world for name, first, world in _STANDS_AT if name == base and first <= number]
    return found[-1]


def _changed(suite: str) -> str:
    """The suite of LIBERO that one of LIBERO-PRO changes; itself where it is one of LIBERO."""
    return "_".join(suite.split("_")[:2])


def not_installed(task: str, module: str) -> WamError:
    """The error of who is to simulate a task without the Python module `module`."""
    return WamError(
        f"task '{task}' needs LIBERO (no Python module '{module}'): run `make libero`, and this "
        "with .venv-foreign/libero/bin/wam"
    )
