"""What `wam calibrate model` learns from, and what it makes of it."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("mujoco")

import torch

from wam_ros.core.appraisal import Calm
from wam_ros.core.errors import WamError
from wam_ros.core.task import TaskEnd
from wam_ros.models.dreamzero.small.appraisal import (
    Appraiser,
    OutcomeHead,
    load_appraiser,
    save_appraiser,
)
from wam_ros.models.dreamzero.small.config import load_model_config
from wam_ros.sim.grasping import PANDA
from wam_ros.sim.mishaps import FAILURES
from wam_ros.train.calibrate import Calibrate, labels, main, samples
from wam_ros.train.rollouts import CALM, kind_of, scattered
from wam_ros.train.tasks import Truth

CONFIG = load_model_config("tiny")
INF = float("inf")


def blocks(**heights):
    """(1, 3, 3) centres of red, green and blue on the table, some of them lifted."""
    rows = np.array([[0.45, -0.1, PANDA.half], [0.5, 0.0, PANDA.half], [0.55, 0.1, PANDA.half]])
    for name, height in heights.items():
        rows[("red", "green", "blue").index(name), 2] += height
    return rows[None]


@pytest.mark.parametrize(
    ("at", "colour", "found", "clear"),
    [
        (blocks(), 0, (0, 0), (1, 1)),
        (blocks(red=0.2), 0, (1, 0), (1, 1)),
        (blocks(red=0.2), 1, (0, 1), (1, 1)),
        (blocks(red=0.1), 0, (0, 0), (0, 1)),
        (blocks(green=0.04), 0, (0, 0), (1, 0)),
        (blocks(red=-0.4), 0, (0, 1), (1, 1)),
        (blocks(red=-0.4), 1, (0, 0), (1, 1)),
    ],
)
def test_done_is_the_named_block_lifted_failed_that_it_is_gone_or_another_one_lifted(
    at, colour, found, clear
):
    said, known = labels(at, colour)
    assert (tuple(known[0]), tuple((said * known)[0])) == (clear, found)


@pytest.mark.parametrize(
    ("kind", "imagined"),
    [(CALM, {*range(12)}), ("hand held back", {0, 1}), ("block removed", {0, 1})],
)
def test_what_is_imagined_is_held_against_what_came_until_somebody_interferes(kind, imagined):
    rows = np.arange(20)
    given = {
        "kind": np.array(kind),
        "begun": (rows >= 10) & (kind != CALM),
        "latent": np.full((20, 1), -1.0),
        "end_latent": rows[:, None],
        "state": np.zeros((20, 8)),
        "end_state": np.zeros((20, 8)),
        "blocks": np.repeat(blocks(), 20, axis=0),
    }
    (latents, *_), words = samples(given, ["red", "blue"])
    assert words == ["red"] * (20 + len(imagined)) + ["blue"] * (20 + len(imagined))
    assert set(latents.ravel()) == {-1.0, *imagined}


def test_blocks_of_still_lives_lie_anywhere_but_in_the_hand_and_on_each_other():
    rng = np.random.default_rng(0)
    held = blocks(green=0.05)[0]
    for _ in range(20):
        found = scattered(held, held[1], rng)
        assert np.array_equal(found[1], held[1]), "the hand has it"
        gaps = np.linalg.norm(found[:, None, :2] - found[:, :2], axis=2)[np.triu_indices(3, 1)]
        assert gaps.min() >= PANDA.gap
        assert not np.array_equal(found[0], held[0])
        assert PANDA.x[0] <= found[0, 0] <= PANDA.x[1]
        assert found[0, 2] == PANDA.half


def test_half_of_the_episodes_are_calm_and_the_others_go_wrong_in_every_way():
    kinds = [kind_of(i) for i in range(16)]
    assert kinds.count(CALM) == 8
    assert {k: kinds.count(k) for k in FAILURES} == dict.fromkeys(FAILURES, 2)


def calm_of(pixel, latent):
    return Calm(
        pixel=np.full((2, 2, 8, 8), pixel),
        latent=np.full((2, 2, 8, 8), latent),
        weights=np.full((2, 2, 16, 16), 0.125),
        bias=np.array([0.5, -1.0]),
    )


def test_what_was_learned_is_read_for_the_very_weights_only(tmp_path):
    path = tmp_path / "tiny.appraisal.safetensors"
    head = OutcomeHead(CONFIG)
    calm = calm_of(0.25, 2.0)
    assert load_appraiser(path, CONFIG, "ab") is None
    save_appraiser(path, Appraiser(head, calm), "ab", {"episodes": 1})
    assert load_appraiser(path, CONFIG, "cd") is None, "of other weights"
    found = load_appraiser(path, CONFIG, "ab")
    for name, values in vars(calm).items():
        assert np.array_equal(getattr(found.calm, name), values)
    x = torch.zeros(1, 12, 8, 16), torch.zeros(1, 8), torch.ones(1, 4, dtype=torch.long)
    x = *x, torch.zeros(1, 256)
    assert torch.allclose(found.head(*x), head.eval()(*x), atol=1e-2)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p, h, c: p.write_bytes(b"not a file of tensors"), "not a whole safetensors file"),
        (lambda p, h, c: h.out.bias.data.fill_(float("nan")), "head.out.bias"),
        (lambda p, h, c: setattr(h, "out", torch.nn.Linear(96, 3)), "does not fit the model"),
    ],
)
def test_a_file_that_is_damaged_or_of_another_model_is_refused_by_name(tmp_path, spoil, words):
    path = tmp_path / "tiny.appraisal.safetensors"
    head = OutcomeHead(CONFIG)
    calm = calm_of(1.0, 1.0)
    spoil(path, head, calm)
    if not path.is_file():
        save_appraiser(path, Appraiser(head, calm), "ab", {})
    with pytest.raises(WamError, match=words):
        load_appraiser(path, CONFIG, "ab")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"episodes": 2}, "--episodes"),
        ({"steps": (0,)}, "--steps"),
        ({"minutes": 0.0}, "--minutes"),
        ({"model": "nope"}, "nope"),
        ({"only_calm": True, "checkpoint": "nothing.safetensors"}, "nothing.safetensors"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_runs(tmp_path, given, words):
    with pytest.raises(WamError, match=words):
        main(Calibrate(tmp_path / "rollouts", **given))


@pytest.mark.parametrize(
    ("truth", "end", "at_s", "wrong"),
    [
        (Truth(5.0, INF, INF), TaskEnd.SUCCEEDED, 5.4, ""),
        (Truth(5.0, INF, INF), TaskEnd.SUCCEEDED, 6.1, "1.1 s late"),
        (Truth(5.0, INF, INF), TaskEnd.SUCCEEDED, 4.9, "before it was true"),
        (Truth(INF, INF, INF), TaskEnd.FAILED, 2.0, "before it was true"),
        (Truth(INF, 2.0, INF), TaskEnd.STUCK, 2.5, "before it was true"),
        (Truth(INF, INF, 7.0), TaskEnd.STUCK, 6.8, ""),
        (Truth(INF, INF, INF), TaskEnd.TIMEOUT, 9.0, ""),
        (Truth(INF, 2.0, INF), TaskEnd.TIMEOUT, 9.0, "not seen: failed"),
        (Truth(8.5, INF, INF), TaskEnd.TIMEOUT, 9.0, ""),
    ],
)
def test_a_word_is_right_within_a_second_of_what_is_true(truth, end, at_s, wrong):
    found = truth.why_not_right(end, at_s)
    assert (wrong in found) if wrong else (found == "")
