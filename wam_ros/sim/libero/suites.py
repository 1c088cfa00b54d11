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
