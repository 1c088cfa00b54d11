"""The loop that all families share: batches, resuming, updates of low rank."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.models.dreamzero.shared.low_rank import LowRankSize, add_low_rank  # noqa: E402
from wam_ros.models.dreamzero.small.load import (  # noqa: E402
    load_checkpoint,
    save_checkpoint,
)
from wam_ros.train.dataset import as_film  # noqa: E402
from wam_ros.train.grounding import train_grounding  # noqa: E402
from wam_ros.train.trainer import STATE, Recipe, Trainer  # noqa: E402

from .little import CONFIG, family, networks, stretch  # noqa: E402

RECIPE = Recipe(steps=6, batch=4, seed=3)
FACTS = {"data": "d"}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def equal(a, b):
    assert a.keys() == b.keys()
    assert [n for n in a if not torch.equal(a[n], b[n])] == []


def everything(trainer):
    return {n: x.clone() for n, x in trainer._tensors()}


def walked(trainer, steps):
    return [trainer.step() for _ in range(steps)]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_that_goes_on_is_the_uninterrupted_one_bit_for_bit(tmp_path, precision):
    recipe = dataclasses.replace(RECIPE, precision=precision)
    whole = Trainer(family(), recipe)
    losses = walked(whole, 5)
    first = Trainer(family(), recipe)
    walked(first, 2)
    first.save_state(tmp_path, FACTS)
    # other weights and another place in the data, until the state is read
    second = Trainer(family(networks_=networks(seed=9)), recipe)
    walked(second, 1)
    second.load_state(tmp_path, FACTS)
    assert walked(second, 3) == losses[2:]
    equal(everything(second), everything(whole))
    equal(second.averaged(), whole.averaged())
    for a, b in zip(second.family.model.parameters(), whole.family.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_an_older_state_is_gone_when_the_newer_one_is_whole(tmp_path):
    trainer = Trainer(family(), RECIPE)
    for _ in range(2):
        walked(trainer, 1)
        trainer.save_state(tmp_path, FACTS)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state-0000002-0.safetensors", STATE]


@pytest.mark.parametrize(
    ("recipe", "facts", "words"),
    [
        ({"batch": 2}, FACTS, "batch was 4 and is 2"),
        ({"steps": 7}, FACTS, "steps was 6 and is 7"),
        ({}, {"data": "other"}, "data was 'd' and is 'other'"),
        ({"precision": "bfloat16"}, FACTS, "precision was 'float32' and is 'bfloat16'"),
    ],
)
def test_a_state_of_another_run_is_refused_by_what_differs(tmp_path, recipe, facts, words):
    Trainer(family(), RECIPE).save_state(tmp_path, FACTS)
    other = Trainer(family(), dataclasses.replace(RECIPE, **recipe))
    with pytest.raises(WamError, match=words):
        other.load_state(tmp_path, facts)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda d: (d / STATE).unlink(), "nothing can go on there"),
        (lambda d: (d / STATE).write_text("{"), "state.json' is damaged"),
        (lambda d: (d / STATE).write_text('{"step": 0}'), "lacks facts, processes, recipe"),
        (
            lambda d: (d / "state-0000000-0.safetensors").write_bytes(b"x"),
            "0.safetensors' is damaged",
        ),
        (lambda d: (d / "state-0000000-0.safetensors").unlink(), "0.safetensors' is damaged"),
    ],
)
def test_a_damaged_state_is_refused_by_name(tmp_path, spoil, words):
    Trainer(family(), RECIPE).save_state(tmp_path, FACTS)
    spoil(tmp_path)
    with pytest.raises(WamError, match=words):
        Trainer(family(), RECIPE).load_state(tmp_path, FACTS)


def test_a_state_of_another_number_of_processes_is_refused(tmp_path):
    Trainer(family(), RECIPE).save_state(tmp_path, FACTS)
    said = json.loads((tmp_path / STATE).read_text()) | {"processes": 2}
    (tmp_path / STATE).write_text(json.dumps(said))
    with pytest.raises(WamError, match="is of 2 processes, this is 1"):
        Trainer(family(), RECIPE).load_state(tmp_path, FACTS)


def gradients(trainer, batches):
    trainer._backward(batches)
    return {n: p.grad.clone() for n, p in trainer._trained.items() if p.grad is not None}


def test_a_batch_of_mixed_lengths_and_videos_is_its_samples_one_by_one():
    """Windows of four blocks, of two, of one, and of a video: their errors, and so their
    gradients.
    """
    it = family()
    counts = it.data.starts()[0].tolist()
    numbers = torch.tensor([0, counts[0], counts[0] + 4, sum(counts[:2])])
    seeds = torch.arange(4)
    batch = it.batch(numbers, seeds)
    assert batch["known"].sum(1).tolist() == [4, 2, 1, 3]
    assert batch["action_mask"].flatten(1).any(1).tolist() == [True, True, True, False]
    together = it.errors(batch)
    alone = [it.errors(it.batch(numbers[i : i + 1], seeds[i : i + 1])) for i in range(4)]
    for name, values in together.items():
        torch.testing.assert_close(values, torch.cat([a[name] for a in alone]), rtol=1e-5, atol=0)
    assert together["action"][3] == 0 and together["video"][3] > 0
    trainer = Trainer(it, RECIPE)
    pieces = [it.batch(numbers[i : i + 1], seeds[i : i + 1]) for i in range(4)]
    whole, split = gradients(trainer, [batch]), gradients(trainer, pieces)
    for name, value in whole.items():
        torch.testing.assert_close(value, split[name], rtol=1e-4, atol=1e-6)


def test_what_learns_actions_alone_sees_noise_for_frames_and_differs_in_nothing_else():
    both, alone = family(), family(imagine=False)
    numbers, seeds = torch.arange(6), torch.arange(6)
    a, b = both.batch(numbers, seeds), alone.batch(numbers, seeds)
    assert (b["t_video"] == 1).all() and (a["t_video"] < 1).any()
    equal({n: x for n, x in a.items() if n != "t_video"}, {n: b[n] for n in a if n != "t_video"})
    # at level 1 nothing of the frames to come is left
    errors = alone.errors(b)
    other = alone.errors(b | {"video": torch.randn_like(b["video"])})
    torch.testing.assert_close(errors["action"], other["action"], rtol=0, atol=0)
    leaked = both.errors(a | {"video": torch.randn_like(a["video"])})
    assert (leaked["action"] - both.errors(a)["action"]).abs().max() > 0
    learned = Trainer(alone, RECIPE)
    found = gradients(learned, [b])
    assert "head.head.weight" not in found
    assert any(name.startswith("action_decoder") and g.any() for name, g in found.items())
    assert set(learned.step()) == {"action", "goal", "gradient", "rate"}
    assert alone.facts["imagine"] is False and "imagine" not in both.facts


def test_errors_of_data_count_alike_at_every_noise_level():
    it = family(config=dataclasses.replace(CONFIG, predicts="data"))
    model = it.model
    for layer in (model.head.head, model.action_decoder.layer2):
        for x in layer.parameters():
            torch.nn.init.zeros_(x)
    batch = it.batch(torch.arange(6), torch.arange(6))
    found = it.errors(batch)
    # it says that nothing moves, and that actions are the mean
    seen = (batch["clean"] + batch["noise_clean"])[:, :, None]
    wrong = (batch["video"] - seen).square().flatten(2).mean(-1)
    wanted = (wrong * batch["known"]).sum(1)
    torch.testing.assert_close(found["video"], wanted, rtol=1e-3, atol=1e-3)
    learned = batch["action_mask"] * ~batch["given"]
    wanted = (batch["action"].square().mean(-1) * learned).sum((1, 2))
    torch.testing.assert_close(found["action"], wanted, rtol=1e-3, atol=1e-3)
    assert batch["t_video"].min() < 0.4 and batch["t_video"].max() == 1


def test_what_learns_video_alone_knows_nothing_of_joints():
    acted = [stretch(30), stretch(13, seed=1)]
    it = family([as_film(s) for s in acted], act=False)
    moved = [dataclasses.replace(s, states=s.states + 1, actions=s.actions + 1) for s in acted]
    other = family([as_film(s) for s in moved], act=False)
    numbers = torch.arange(6)
    batch = it.batch(numbers, numbers)
    equal(batch, other.batch(numbers, numbers))
    assert not batch["state"].any() and not batch["action"].any() and batch["known"].any()
    learned = Trainer(it, RECIPE)
    found = gradients(learned, [batch])
    assert "action_decoder.layer2.weight" not in found and "head.head.weight" in found, found.keys()
    assert set(learned.step()) == {"video", "gradient", "rate"}
    assert it.facts["act"] is False and "imagine" not in it.facts


def test_what_fills_up_a_batch_is_never_seen():
    it = family()
    number = torch.tensor([int(it.data.starts()[0][0])])  # two blocks of four
    batch = it.batch(number, torch.tensor([0]))
    before = it.errors(batch)
    for name in ("clean", "video", "action", "state"):
        batch[name][:, 2:] += 100.0
    after = it.errors(batch)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-6, atol=0)


def test_blocks_computed_twice_give_the_same_gradients():
    it = family()
    trainer = Trainer(it, RECIPE)
    batch = it.batch(torch.tensor([0, 1]), torch.tensor([0, 1]))
    once = gradients(trainer, [batch])
    it.model.checkpointing = True
    equal(gradients(trainer, [batch]), once)


def test_a_gradient_that_is_not_finite_changes_nothing():
    it = family()
    trainer = Trainer(it, RECIPE)
    before = everything(trainer)
    it.data.latents[:] = float("inf")
    with pytest.raises(WamError, match="the gradient of step 1 is not finite"):
        trainer.step()
    after = everything(trainer)
    equal(*({n: x for n, x in t.items() if n != "generator"} for t in (before, after)))


@pytest.fixture
def updated(tmp_path):
    """A family that trains updates of `base.safetensors`, after two steps."""
    base = tmp_path / "base.safetensors"
    save_checkpoint(base, networks(), CONFIG, {})
    found = load_checkpoint(base, CONFIG)
    size = LowRankSize(2, 4)
    add_low_rank(found.model, size, torch.Generator().manual_seed(0))
    it = family(networks_=found, low_rank=size, base=base)
    trainer = Trainer(it, RECIPE)
    walked(trainer, 2)
    return trainer, base


def test_updates_of_low_rank_leave_the_base_as_it_is_and_merge_to_what_they_apply(
    updated, tmp_path
):
    trainer, base = updated
    it = trainer.family
    weights = {n: p.detach() for n, p in trainer.masters.items()}
    assert all(".lora_" in n or n.startswith(("state_enc", "action_")) for n in weights)
    before = load_checkpoint(base, CONFIG).model.state_dict()
    held = {n.replace(".base_layer.", "."): x for n, x in it.model.state_dict().items()}
    unchanged = [n for n in before if n not in weights]
    assert all(torch.equal(before[n], held[n]) for n in unchanged)
    it.save(tmp_path / "updates", weights, {})
    merged = load_checkpoint(tmp_path / "updates.safetensors", CONFIG).model
    batch = it.batch(torch.tensor([0, 1, 20]), torch.tensor([0, 1, 2]))
    with torch.no_grad():
        applied = it.errors(batch)
        it.model = merged
        found = it.errors(batch)
    for name, value in applied.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=0)
    assert not torch.equal(merged.blocks[0].ffn[0].weight, before["blocks.0.ffn.0.weight"])


def test_updates_on_another_base_than_they_were_trained_on_are_refused(updated, tmp_path):
    trainer, base = updated
    trainer.family.save(tmp_path / "updates", trainer.averaged(), {})
    save_checkpoint(base, networks(seed=5), CONFIG, {})
    with pytest.raises(WamError, match=r"were trained on 'base.safetensors' .* mean nothing on"):
        load_checkpoint(tmp_path / "updates.safetensors", CONFIG)
    base.unlink()
    with pytest.raises(WamError, match="found .*: put it beside them"):
        load_checkpoint(tmp_path / "updates.safetensors", CONFIG)


@pytest.mark.parametrize("timesteps", ["mixed", "coupled", "high-noise", "decoupled"])
def test_levels_are_coupled_emphasised_or_apart_as_they_are_called(timesteps):
    from wam_ros.train.small import levels

    generator = torch.Generator().manual_seed(0)
    video, action = levels(timesteps, 4000, 8, generator)
    same = (action == video[:, None]).all(1).float().mean()
    mean = {"mixed": 0.66, "coupled": 0.66, "high-noise": 3 / 4, "decoupled": 7 / 8}[timesteps]
    assert abs(float(video.mean()) - mean) < 0.03
    shared = {"mixed": 0.5, "coupled": 1.0, "high-noise": 1.0, "decoupled": 0.0}[timesteps]
    assert abs(float(same) - shared) < 0.05
    if timesteps == "decoupled":
        assert abs(float(action.mean()) - 0.5) < 0.02
        assert action.std(1).mean() > 0.2, "each action has its own"


@pytest.mark.long
def test_two_processes_learn_what_one_learns_from_the_same_global_batch(tmp_path):
    """Sharded by FSDP2 over gloo, each with half of the batch, a sample at a time; also where the
    run went on from a state in between.
    """
    found = {}
    script = Path(__file__).parent / "two_ranks.py"
    for n in (1, 2):
        out = tmp_path / str(n) / "out.safetensors"
        out.parent.mkdir()
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}"]
        done = subprocess.run(
            [sys.executable, *launcher, str(script), str(out)],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        found[n] = load_file(out)
    assert found[1].keys() == found[2].keys()
    for name, value in found[1].items():  # gradients, losses and weights
        torch.testing.assert_close(found[2][name], value, rtol=0, atol=1e-5, msg=name)


def test_a_model_that_chooses_among_no_words_is_measured_by_the_other_sentences():
    """By how far another sentence of the data moves the end of a chunk; one sentence says
    nothing.
    """
    plain = dataclasses.replace(CONFIG, text=dataclasses.replace(CONFIG.text, choose_one=()))

    def swap(*sentences):
        parts = [
            dataclasses.replace(stretch(13, seed=k), instruction=s) for k, s in enumerate(sentences)
        ]
        found = family(parts)
        found.config = plain
        seen = found.data.words
        other = found._another(seen)
        return found.measure(found.model.state_dict()), seen.tolist(), other.tolist()

    measured, seen, other = swap("pick up the red block", "grab the blue cube")
    assert other == seen[::-1]
    assert measured["swap"] > 0
    measured, _, _ = swap("pick up the red block", "pick up the red block")
    assert measured == {}


def test_what_grounds_the_instruction_does_not_learn_from_what_is_held_out():
    goals = np.full((30, 3), np.nan, np.float32)  # learned from, they would spoil every weight
    apart = dataclasses.replace(stretch(30, seed=1), episode=1, goal=goals)
    data = family([stretch(30), apart]).data
    model = networks().model
    before = {n: x.clone() for n, x in model.grounding.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    train_grounding(model, data, 0.5, 0.005, generator, lambda **_: None)
    now = model.grounding.state_dict()
    assert all(x.isfinite().all() for x in now.values())
    assert any(not torch.equal(x, now[n]) for n, x in before.items())
