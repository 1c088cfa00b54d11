"""What the pages tell a person to type and to open exists."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tools.docs.pictures import EVERY, LOOP, STATES, UNLATCHED
from wam_ros import cli

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PICTURES = {"loop.svg": LOOP, "states.svg": STATES}
NAMED = ("README.md", "CONTRIBUTING.md", "weights/README.md")
PAGES = [*(ROOT / name for name in NAMED), *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
COMMANDS = (
    *cli.COMMANDS,
    "safety filter",
    "safety pairs",
    "embodiment check",
    "embodiment list",
    *(f"data {name}" for name in ("import", "export", "show", "stats", "check")),
)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_file_that_is_named_is_there(page):
    folders = "wam_ros|test|testing|config|docs|benchmark|launch|msg|srv|action|tools|urdf|weights"
    named = re.findall(rf"`((?:{folders})/[\w./-]*)`", page.read_text())
    files = [name for name in named if not re.search("/[A-Z][A-Za-z]*$", name)]  # else a message
    assert [name for name in files if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_test_that_is_named_is_one(page):
    named = set(re.findall(r"`(test_\w+)`", page.read_text()))
    there = (
        "".join(file.read_text() for file in (ROOT / "test").rglob("test_*.py")) if named else ""
    )
    assert [name for name in named if f"def {name}(" not in there] == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_option_of_a_command_is_one(page, capsys):
    pytest.importorskip("torch")
    pytest.importorskip("mujoco")
    for name, options in typed(page.read_text()):
        with pytest.raises(SystemExit):
            cli.main([*name.split(), "--help"])
        known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))
        assert options <= known, f"wam {name} has no {', '.join(options - known)}"


def typed(text):
    """(command, its options) of every `wam ...` and `make demo ...` on one line."""
    for line in text.replace('make demo ARGS="', "wam demo ").splitlines():
        for words in re.findall(r"\bwam ([a-z][^`#;)|]*)", line):
            if name := max((n for n in COMMANDS if words.startswith(n)), key=len, default=""):
                yield name, set(re.findall(r"--[a-z][a-z-]*", words))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_that_stands_to_be_typed_is_taken_as_it_is(page, capsys):
    pytest.importorskip("torch")
    pytest.importorskip("mujoco")
    for words in blocks(page.read_text()):
        name = max((n for n in cli.COMMANDS if words[: n.count(" ") + 1] == n.split()), key=len)
        try:
            cli.parse(cli.COMMANDS[name], f"wam {name}", words[name.count(" ") + 1 :])
        except SystemExit as end:
            told = capsys.readouterr()
            pytest.fail(f"wam {shlex.join(words)}: {end.code} {told.out} {told.err}")


def blocks(text):
    """The words behind `wam` of every command in a block of code, comments left out."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for typed in re.findall(r"(?:^|&& |[\w.]/bin/)wam (.*)", line):
                lexer = shlex.shlex(typed, posix=True, punctuation_chars=True)
                lexer.whitespace_split = True
                words = list(lexer)
                ends = [k for k, word in enumerate(words) if word in ("&", "&&", "|", ">", ";")]
                yield words[: ends[0]] if ends else words


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_launch_argument_is_one(page):
    pytest.importorskip("rclpy")
    from wam_ros.ros.launching.arguments import ARGUMENTS

    lines = [
        line
        for line in page.read_text().replace("\\\n", " ").splitlines()
        if "bringup.launch.py" in line
    ]
    for name in re.findall(r"(\w+):=", " ".join(lines)):
        assert name in ARGUMENTS


def results(name):
    return json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text())


@pytest.mark.parametrize("name", ["static", "nudge", "swap", "imagined"])
def test_the_table_of_the_readme_is_what_was_measured(name):
    run = results(name)["summary"]
    cells = f"| {run['successes']} ({100 * run['success_rate']:.0f} %) | {run['wrong']} |"
    assert cells in (ROOT / "README.md").read_text()


def test_rate_delay_and_imagination_in_the_readme_are_what_was_measured():
    run, heldout = results("static"), results("heldout")["imagination"]
    delay = run["latency"]["camera to command"]
    front, wrist = (run["imagination"][view]["+0.4 s"]["gain_db"] for view in ("front", "wrist"))
    unseen = [
        heldout[f"{view} +0.4s imagined"] - heldout[f"{view} +0.4s copy"]
        for view in ("front", "wrist")
    ]
    text = (ROOT / "README.md").read_text()
    for words in (
        f"{run['summary']['chunk_rate_hz']:.1f} times a second",
        f"{delay['p50_ms']:.0f} ms in the middle, {delay['p95_ms']:.0f} ms for 95 %",
        f"{run['latency']['observation to chunk']['p50_ms']:.0f} ms.",
        f"{front:.1f} dB (front) and {wrist:.1f} dB (wrist)",
        f"by {unseen[0]:.1f} and {unseen[1]:.1f} dB",
    ):
        assert words in text, words


def test_the_table_of_delays_is_what_was_measured():
    still, nudged = results("delays")["scenes"].values()
    text = (ROOT / "docs" / "timing.md").read_text()
    for mode, row in still.items():
        cells = (
            f"{c['success']}, {nudged[mode][k]['success']}" if c["possible"] else "stops and thinks"
            for k, c in row.items()
        )
        assert f"| {mode} | {' | '.join(cells)} |" in text
        assert {
            c["episodes"] for c in (*row.values(), *nudged[mode].values()) if c["possible"]
        } == {20}


def test_the_table_of_what_the_filter_costs_is_what_was_measured():
    text = (ROOT / "docs" / "offline.md").read_text()
    for found in results("safety")["settings"]:
        if found["obstacles"] == "boxes":
            cost = (
                found["p50_ms"],
                found["p99_ms"],
                found["p50_ms"] / found["sampled_ms"],
                found["p50_ms"] / found["made_ms"],
            )
            cells = " | ".join(
                (*(f"{ms:.1f} ms" for ms in cost[:2]), f"{cost[2]:.2f}", f"{cost[3]:.1f}")
            )
            row = (
                f"| {found['embodiment']}, {found['steps']}x{found['joints']} | "
                f"{found['bodies']} | {cells} |"
            )
            assert row in text, row


DRAWN = {"the cell": "sim_node"}  # a box that is more than one node


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_as_it_is_drawn(name):
    assert (DOCS / name).read_text() == PICTURES[name].svg(), "run `make docs`"


@pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)
def test_every_arrow_begins_and_ends_at_a_box(picture):
    boxes = {box.name for box in picture.boxes} | {EVERY, UNLATCHED}
    assert {end for arrow in picture.arrows for end in (arrow.start, arrow.end)} <= boxes


@pytest.fixture(scope="module")
def interfaces():
    """What the nodes publish, hear, offer and ask for."""
    for needed in ("rclpy", "wam_ros.msg", "pinocchio", "mujoco"):
        pytest.importorskip(needed)
    from tools.docs.interfaces import read_interfaces

    return read_interfaces()


@pytest.mark.ros
def test_topics_services_and_parameters_are_those_of_the_nodes(interfaces):
    from tools.docs.pages import pages

    stale = [name for name, text in pages(interfaces).items() if (DOCS / name).read_text() != text]
    assert stale == [], "run `make docs`"


@pytest.mark.ros
def test_a_launch_judges_the_parameters_that_the_nodes_have(interfaces):
    from wam_ros.ros.launching.parameter_files import KNOWN

    assert interfaces.parameters == KNOWN


@pytest.mark.ros
def test_what_the_picture_of_the_loop_shows_goes_from_one_end_to_the_other(interfaces):
    wrong = []
    for arrow in LOOP.arrows:
        start, end = (DRAWN.get(name, name) for name in (arrow.start, arrow.end))
        for name in arrow.names:
            asked = name.startswith("~/")
            table = interfaces.services if asked else interfaces.topics
            ends = table.get(name.replace("~", end))
            giver, taker = (end, start) if asked else (start, end)
            # what others publish, as obstacles, is of no node here
            known = ends is not None and taker in ends.takers and giver in (ends.givers or {giver})
            if not known:
                wrong.append(f"{name} from {start} to {end}")
    assert wrong == []


def test_the_table_of_the_robots_of_others_is_what_was_measured():
    text = (ROOT / "docs" / "robots.md").read_text()
    found = results("robots")
    assert len(found) == 20
    for name, r in found.items():
        assert not r["refused"]
        cells = (
            f"{r['joints']}, {r['parked']}",
            f"{r['bodies']}, {r['pairs']}",
            str(r["doubtful"]),
            f"{r['passed']} of 20",
            f"{r['made_s']} s, {r['loaded_s']} s",
            f"{r['p50_ms']} ms",
        )
        assert f"| {name} | {' | '.join(cells)} |" in text
        if loop := r.get("loop"):
            assert f"| {name} | {loop['reached']} of 3 | " in text
            assert loop["reached"] == 3 and loop["exceeded"] == {}
