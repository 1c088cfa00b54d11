"""The long commands of benchmark/, run as a person runs them and at a small size: what they write,
and that they go on where they were stopped.
"""

import importlib.util
import json
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def command(request):
    """Runs a script of benchmark/ from the root of the checkout; gives what it prints."""

    def run(script: str, *args: object) -> str:
        done = subprocess.run(
            [sys.executable, "-m", f"benchmark.{script}", *map(str, args)],
            cwd=request.config.rootpath,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.long
def test_the_chunks_that_were_judged_are_not_judged_again(command, tmp_path):
    pytest.importorskip("mujoco")
    out = tmp_path / "out.json"

    def ran(*more: object) -> dict:
        command("safety_properties", "--robots", "so101", "--json", out, *more)
        return json.loads(out.read_text())["robots"]["so101"]

    first = ran("--chunks", 8)
    assert first["chunks"] >= 8
    assert first["violations"] == []
    assert ran("--chunks", 8) == first, "nothing was left to do"
    assert ran("--chunks", first["chunks"] + 1)["units"] == 2
    assert ran("--chunks", 8, "--seed", 7)["units"] == 1, "other seeds begin anew"


WAYS = {
    "single kernels": "torch",
    "bfloat16, compiled": "4/4 guided",
    "float8, compiled": "4/4 guided",
    "bfloat16": "4/4 guided",
    "float8": "4/4 guided",
    "bfloat16, plain": "8/16 guided",
    "bfloat16, compiled, with the autoencoder": "8/16 guided",
}


@pytest.fixture(scope="module")
def little(request, tmp_path_factory):
    """The file of a model of one narrow layer."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    shipped = request.config.rootpath / "config" / "models" / "dreamzero-100m.yaml"
    text = shipped.read_text().replace("num_layers: 8", "num_layers: 1")
    config = tmp_path_factory.mktemp("little") / "little.yaml"
    config.write_text(text.replace("dim: 768", "dim: 96"))
    return config


@pytest.mark.long
def test_every_way_of_the_accelerator_table_runs(command, little, tmp_path):
    out = tmp_path / "new" / "out.txt"
    command("accelerator", "--device", "meta", "--config", little, "--out", out)
    told = out.read_text()
    done = [line.split(": done in")[0] for line in told.splitlines() if ": done in" in line]
    assert done == list(WAYS)
    for way, row in WAYS.items():
        assert row in told.split(f"\n{way}\n", 1)[1].split(f"{way}: done in")[0]


def test_of_the_accelerator_table_only_what_is_missing_is_measured(command, little, tmp_path):
    out = tmp_path / "out.txt"
    stopped = "float8"
    done = [f"\n{way}\n{way}: done in 1 s\n" for way in WAYS if way != stopped]
    out.write_text("".join(done) + f"\n{stopped}\n")
    told = command("accelerator", "--device", "meta", "--config", little, "--out", out)
    for way in WAYS:
        assert (f"{way}: in {out} already" in told) == (way != stopped)
    after = out.read_text().split(f"\n{stopped}\n")[-1]
    assert WAYS[stopped] in after and f"{stopped}: done in" in after


def test_single_kernels_are_measured_in_the_sizes_of_the_model(command, little):
    told = command("accelerator", "--config", little, "--device", "cpu", "--way", "single kernels")
    assert " x 96 x 3072: bfloat16" in told
    assert "attention, 2 x " in told and ": torch's choice" in told
    assert "cudnn_attention none" in told


@pytest.mark.long
def test_ways_to_answer_faster_stand_beside_the_shipped_one(command, tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("mujoco")
    out = tmp_path / "fast.json"
    ways = ("1 denoising step", "frames decoded only when somebody looks")
    command("fast", "--rounds", 1, "--chunks", 2, "--json", out, "--ways", *ways)
    found = json.loads(out.read_text())["ways"]
    assert set(found) == {"as shipped", *ways}
    assert found["as shipped"]["ratio"] == 1.0
    # who does not look gets the same motion
    assert found[ways[1]]["off_max_mrad"] == 0.0 < found[ways[0]]["off_max_mrad"]


@pytest.mark.long
def test_adapting_to_another_arm_goes_on_where_it_was_stopped(command, tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("mujoco")
    out = tmp_path / "adapt.json"
    few = ("--demonstrations", 10, "--film-minutes", 0.1, "--minutes", 0.05, "--episodes", 1)
    told = command("adapt", "--work", tmp_path / "work", "--json", out, *few, "--threads", 1)
    found = json.loads(out.read_text())
    ways = ["demonstrations", "demonstrations and films"]
    assert list(found["stages"]) == ["expert", "shipped", "transferred", *ways]
    assert found["stages"]["expert"]["success"] == 1.0
    assert "was trained for 'panda'" in found["stages"]["shipped"]["why"]
    assert "transferred" in told  # longer names are folded to the width of the screen
    trained = {way: found["trained"][way] for way in ways}
    assert trained[ways[0]]["steps"] == trained[ways[1]]["steps"] > 0
    # the second way is lost before it was judged: all that was made is there still
    del found["stages"][ways[1]]
    (tmp_path / "work" / "result.json").write_text(json.dumps(found))
    command("adapt", "--work", tmp_path / "work", "--json", out, *few, "--threads", 1)
    again = json.loads(out.read_text())
    assert list(again["stages"]) == [*found["stages"], ways[1]]
    assert again["trained"] == trained


@pytest.mark.long
def test_each_variant_of_the_study_differs_in_the_one_thing_that_it_claims(
    command, request, tmp_path
):
    """Demonstrations of seconds, three steps of training, episodes of a second: the whole way."""
    pytest.importorskip("torch")
    pytest.importorskip("mujoco")
    from wam_ros import cli

    weights = request.config.rootpath / "weights" / "tiny.safetensors"
    demos, work, out = (tmp_path / name for name in ("demos", "work", "study.json"))
    said = ["record-sim", "--out", str(demos), "--episodes", "4", "--steps", "40", "--workers", "1"]
    assert cli.main(said) == 0
    toy = ("--data", demos, "--work", work, "--model", "tiny", "--suites", "pick_block")
    toy += ("--start", weights, "--steps", 3, "--batch", 2, "--episodes", 1, "--max-steps", 8)
    toy += ("--threads", 1, "--workers", 1, "--seeds", 0)
    command("study.variants", *toy, "--json", out)
    found = json.loads(out.read_text())["found"]

    def settings(name):
        return json.loads((work / f"{name}-0-pick_block.json").read_text())["settings"]

    def differs(a, b):
        return {key for key in settings(a) if settings(a)[key] != settings(b)[key]}

    assert differs("imagines", "skips") == {"imagine"}
    assert differs("skips", "no-video") == set()
    assert differs("imagines", "best-of-n") == {"candidates"}
    assert differs("imagines", "never-refreshed") == {"memory"}
    hashes = {name: row["checkpoints"] for name, row in found.items()}
    assert hashes["no-video"] != hashes["skips"]
    hashes.pop("no-video")
    assert len(set(map(tuple, hashes.values()))) == 1
    recipes = [
        json.loads((work / f"{n}-0" / "state.json").read_text()) for n in ("video", "no-video")
    ]
    assert recipes[0]["recipe"] == recipes[1]["recipe"]
    assert [r["facts"].get("imagine", True) for r in recipes] == [True, False]
    assert "skips less this" in found["no-video"] and "imagines less this" in found["skips"]
    # nothing is done again, and one that is named is added to what there is
    files = {file: file.read_bytes() for file in sorted(work.rglob("*.json"))}
    command("study.variants", "skips", *toy, "--json", out)
    assert {file: file.read_bytes() for file in sorted(work.rglob("*.json"))} == files
    assert json.loads(out.read_text())["found"] == found
    _rest_of_the_study(command, demos, toy, tmp_path)


def _rest_of_the_study(command, demos, toy, tmp_path):
    """Denoising steps, video against success, other data, and what is read off imagined frames."""
    import torch
    from safetensors.torch import load_file

    from wam_ros.train.small import START

    out = {name: tmp_path / f"{name}.json" for name in ("steps", "quality", "outcomes", "ranking")}
    command("study.steps", *toy, "--denoising", 1, 2, "--json", out["steps"])
    by_steps = json.loads(out["steps"].read_text())["found"]
    assert {k: list(v) for k, v in by_steps.items()} == {"video": ["1", "2"], "flash": ["1", "2"]}
    command("study.quality", *toy, "--heldout", demos, "--keep", 2, "--json", out["quality"])
    (by_step,) = json.loads(out["quality"].read_text())["found"].values()
    assert list(by_step) == ["2"]
    assert isinstance(by_step["2"]["pick_block"]["gain_db"], float)
    out["data"] = tmp_path / "data.json"
    of_data = ("study.data", *toy, "--films", demos, "--json", out["data"])
    command(*of_data)
    found = json.loads(out["data"].read_text())["found"]
    # nothing was said of --few-kinds
    assert list(found) == ["demonstrations", "films", "video-first"]
    assert all("pick_block" in row["suites"] for row in found.values())
    assert "demonstrations less this" in found["video-first"]
    work = toy[toy.index("--work") + 1]
    facts = json.loads((work / "video-alone-0" / "state.json").read_text())["facts"]
    assert facts["act"] is False
    files = (work / "video-alone-0" / "tiny.safetensors", work / "video-first-0" / START)
    last, first = map(load_file, files)
    assert all(torch.equal(x, first[name]) for name, x in last.items())
    told = ("--model", "tiny", "--tasks", "pick_block", "--learn", 2, "--episodes", 1)
    told += ("--max-steps", 16, "--work", tmp_path, "--json", out["outcomes"])
    command("study.outcomes", *told)
    row = json.loads(out["outcomes"].read_text())["found"]["pick_block"]
    assert set(row["reads_cm"]) == {"red_block", "green_block", "blue_block", "tool"}
    assert row["moments"]["count"] == 4
    command("study.ranking", *told[:-1], out["ranking"])
    row = json.loads(out["ranking"].read_text())["found"]["pick_block"]
    assert (
        row["moments"] == 2 and row["best_cm"] <= row["own_cm"] and row["best_cm"] < row["all_cm"]
    )


def test_the_reader_of_the_study_finds_what_lies_in_a_frame(request):
    """A thing that is bright in one cell of each of two views, among others that are not it."""
    pytest.importorskip("torch")
    code = """
import json, numpy
from benchmark.study import reader
reader.STEPS = 300
rng = numpy.random.default_rng(0)
latents = rng.normal(0, 0.3, (600, 4, 8, 16)).astype("float32")
cells = rng.integers(0, 8, (600, 2))
for i, (row, column) in enumerate(cells):
    latents[i, 1, row, column] = latents[i, 1, column, 8 + row] = 4
    latents[i, 2, rng.integers(8), rng.integers(16)] = 4
places = {"cup": numpy.c_[cells, cells.sum(1)] / 10}
found = reader.Reader(latents, places, views=2)
apart = [abs(found(x)["cup"] - p).max() for x, p in zip(latents[-50:], places["cup"][-50:])]
print(json.dumps([found.error_cm["cup"], 100 * float(numpy.median(apart))]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told_cm, apart_cm = json.loads(done.stdout.splitlines()[-1])
    # cells are 10 cm apart
    assert told_cm < 2.5 and apart_cm < 2.5


def test_of_chunks_that_differ_the_better_one_is_counted_as_found_where_imagination_says_so(
    request,
):
    pytest.importorskip("torch")
    pytest.importorskip("mujoco")
    came = [[0.30, 0.20, 0.205], [0.10, 0.40, 0.30]]
    worst = [[-x for x in moment] for moment in came]
    code = "import json, sys, numpy; from benchmark.study.ranking import ranked;"
    code += "told = json.loads(sys.argv[1]);"
    code += "print(json.dumps([ranked(numpy.array(m).swapaxes(0, 1)) for m in told]))"
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps([[came, came, came], [worst, came, came]])],
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
        check=True,
    )
    right, wrong = json.loads(done.stdout.splitlines()[-1])
    # two of one moment are nearer to each other than a centimetre
    assert right["imagined"]["pairs"] == right["reader alone"]["pairs"] == 5
    assert right["imagined"]["right"] == 1.0 and right["chosen_cm"] == right["best_cm"] == 15.0
    assert right["own_cm"] == 20.0
    assert wrong["imagined"]["right"] == 0.0 and wrong["reader alone"]["right"] == 1.0
    assert wrong["chosen_cm"] == 35.0
