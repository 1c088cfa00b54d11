import importlib
import subprocess
import sys
from dataclasses import dataclass

import pytest

from wam_ros import cli
from wam_ros.core.errors import WamError
from wam_ros.core.resources import config_names


@dataclass(frozen=True)
class Args:
    """Arguments of a command that exists only here."""

    count: int = 1
    loud: bool = False


def run_fake(args):
    if args.count == 13:
        raise WamError("13 brings bad luck; choose another --count")
    if args.count == 14:
        raise KeyboardInterrupt
    return args.count if args.loud else None


@pytest.fixture(autouse=True)
def fake_command(monkeypatch):
    module = type(sys)("fake_command_module")
    module.Args, module.run = Args, run_fake
    monkeypatch.setitem(sys.modules, "fake_command_module", module)
    monkeypatch.setitem(
        cli.COMMANDS,
        "fake",
        cli.Command("a fake", "fake_command_module:Args", "fake_command_module:run"),
    )


def test_help_names_every_command_and_imports_nothing_heavy():
    code = (
        "import sys; from wam_ros import cli; cli.main(['--help'])\n"
        "sys.exit(any(m in sys.modules for m in ('torch', 'rclpy', 'mujoco', 'tyro', 'numpy')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=None, check=True
    )
    for name in ("demo", "record-sim", "train", "eval", "bench"):
        assert name in done.stdout


def test_help_of_the_demo_explains_every_option_without_ros_or_torch(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["demo", "--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    for option in (
        "headless",
        "episodes",
        "seed",
        "nudge",
        "swap",
        "instruction",
        "json",
        "record",
        "strip",
        "port",
    ):
        assert f"--{option}" in text


@pytest.mark.parametrize("name", ["demo", "record-sim", "train", "eval", "bench"])
def test_every_command_can_be_explained(name, capsys):
    for module in ("torch", "mujoco"):
        pytest.importorskip(module)
    with pytest.raises(SystemExit) as left:
        cli.main([name, "--help"])
    assert left.value.code == 0
    assert callable(cli._load(cli.COMMANDS[name].run))
    assert f"usage: wam {name}" in capsys.readouterr().out


def test_a_misspelt_command_is_answered_with_the_closest(capsys):
    assert cli.main(["dmeo"]) == 2
    assert "Did you mean 'demo'?" in capsys.readouterr().err


def test_no_command_is_an_error_and_help_is_not(capsys):
    assert cli.main([]) == 2
    assert cli.main(["--help"]) == 0
    assert cli.main(["--version"]) == 0
    assert "usage: wam" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code"), [([], 0), (["--count", "7", "--loud"], 7), (["--count", "14"], 130)]
)
def test_the_exit_code_is_the_commands(words, code):
    assert cli.main(["fake", *words]) == code


def test_a_users_error_is_one_line_and_code_2(capsys):
    assert cli.main(["fake", "--count", "13"]) == 2
    assert capsys.readouterr().err == "wam: 13 brings bad luck; choose another --count\n"


@pytest.mark.parametrize("words", [["--cuont", "3"], ["--count", "many"], ["stray"]])
def test_a_wrong_option_is_code_2(words, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["fake", *words])
    assert left.value.code == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize(
    "run", ["mujoco:run", "fake_command_module:run"], ids=["loading", "running"]
)
def test_a_missing_library_is_one_line_with_the_remedy(run, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    monkeypatch.setattr(
        sys.modules["fake_command_module"], "run", lambda _: importlib.import_module("mujoco")
    )
    monkeypatch.setitem(
        cli.COMMANDS, "fake", cli.Command("a fake", "fake_command_module:Args", run, "torch,sim")
    )
    assert cli.main(["fake"]) == 2
    said = (
        "wam: `wam fake` needs the Python module 'mujoco'; in the repository run `pip install "
        "'.[torch,sim]'`"
    )
    assert capsys.readouterr().err == said + " or `make setup`\n"


def test_a_missing_part_of_the_package_itself_is_no_matter_of_installing(monkeypatch):
    monkeypatch.setitem(
        cli.COMMANDS,
        "fake",
        cli.Command("a fake", "wam_ros.nothing:Args", "wam_ros.nothing:run", "sim"),
    )
    with pytest.raises(ModuleNotFoundError):
        cli.main(["fake"])


def test_a_bad_demo_argument_starts_nothing(capsys):
    assert cli.main(["demo", "--headless", "--embodiment", "pandaa"]) == 2
    choices = ", ".join(config_names("embodiments"))
    said = f"wam: unknown embodiment 'pandaa'. Did you mean 'panda'? Choices: {choices}\n"
    assert capsys.readouterr().err == said
