"""Crop, tiling, normalisation, relative actions, frame expansion and prompts are those of the
reference.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from testing.released import make_vocabulary  # noqa: E402
from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.core.resources import share_dir  # noqa: E402
from wam_ros.core.yamlfile import load_yaml  # noqa: E402
from wam_ros.models.dreamzero.released import prompts, views  # noqa: E402
from wam_ros.models.dreamzero.released.contract import (  # noqa: E402
    Contract,
    JointGroup,
    load_contract,
)
from wam_ros.models.dreamzero.released.quantiles import (  # noqa: E402
    Columns,
    JointScaling,
    relative_chunks,
)


@pytest.fixture
def case(golden):
    return golden("transforms")


def arrays(case, prefix):
    return {
        n.removeprefix(prefix): v.numpy() for n, v in case.tensors.items() if n.startswith(prefix)
    }


def close(case, found, wanted):
    t = case.info["tolerance"]
    np.testing.assert_allclose(found, wanted, atol=t["atol"], rtol=t["rtol"])


def test_quantiles(case):
    a = arrays(case, "q99.")
    q = Columns(a["q01"].astype(float), a["q99"].astype(float))
    close(case, q.normalise(a["x"]), a["normalized"])
    close(case, q.restore(a["normalized"]), a["roundtrip"])
    close(case, q.restore(a["probe"]), a["probe_inverse"])


def test_relative_actions_become_joints(case):
    info, a = case.info["info"]["relative"], arrays(case, "rel.")
    keys, sizes = info["key_order"], info["dims"]
    contract = Contract(
        "x",
        0,
        "{instruction}",
        (("v",),),
        state=tuple(JointGroup(k, d) for k, d in zip(keys, sizes, strict=True)),
        action=tuple(
            JointGroup(k, d, k in info["relative_keys"]) for k, d in zip(keys, sizes, strict=True)
        ),
    )

    def quantiles(kind):
        both = (
            np.concatenate([a[f"{kind}.{k}.{q}"] for k in keys]).astype(float)
            for q in ("q01", "q99")
        )
        return Columns(*both)

    scaling = JointScaling(contract, quantiles("state"), quantiles("action"))
    state = np.concatenate([a[f"in.state.{k}"] for k in keys], -1).astype(float)
    close(case, scaling.state.normalise(state), a["state_normalized_concat"])
    joints = scaling.to_joints(a["in.normalized_action"].astype(float), state[:, -1])
    for kind, found in (
        ("absolute", joints),
        (
            "unnormalized",
            scaling.action.restore(a["in.normalized_action"][..., : sum(sizes)].astype(float)),
        ),
    ):
        close(case, found, np.concatenate([a[f"{kind}.{k}"] for k in keys], -1))
    inside = np.clip(a["in.normalized_action"][..., : sum(sizes)].astype(float), -1, 1)
    back = scaling.from_joints(scaling.to_joints(inside, state[:, -1]), state[:, -1])
    varied = scaling.action.high > scaling.action.low
    np.testing.assert_allclose(back[..., varied], inside[..., varied], atol=1e-9)


def test_relative_training_targets(case):
    a = arrays(case, "reltrain.")
    horizon = case.info["info"]["relative"]["horizon"]
    close(case, relative_chunks(a["action"], a["state"], a["index"], horizon), a["relative_action"])


def test_tiling(case):
    generic = ((0, 2), (1, ""))
    for name in case.info["info"]["tiling"]:
        frames, wanted = case[f"tile.{name}.views"].numpy(), case[f"tile.{name}.canvas"].numpy()
        count = frames.shape[1]
        if name.startswith("droid") and count == 3:
            contract = load_contract("oxe_droid")
            canvas, names = contract.canvas, contract.views
        else:
            names = tuple(map(str, range(count)))
            canvas = (
                tuple(tuple(str(v) for v in row) for row in generic) if count > 1 else (("0",),)
            )
        given = {n: frames[:, i] for i, n in enumerate(names)}
        picture = views.compose(given, canvas)
        np.testing.assert_array_equal(picture, wanted)
        for n, back in views.decompose(picture, canvas).items():
            if n in given:
                np.testing.assert_array_equal(back, given[n])


def test_shipped_canvases_are_the_generic_one_in_the_order_of_their_views():
    for name in ("agibot", "yam"):
        contract = load_contract(name)
        first, second, third = contract.views
        assert contract.canvas == ((first, third), (second, ""))


def test_crop_and_resize(case):
    for name, info in case.info["info"]["crop"].items():
        src = case[f"crop.{name}.src"].numpy()
        assert views.crop_box(*info["src"], 0.95) == (*info["crop_top_left"], *info["crop"])
        cropped = views.centre_crop(src, 0.95)
        np.testing.assert_array_equal(cropped, case[f"crop.{name}.cropped"].numpy())
        exact = views.resize_exact(cropped, *info["dst"])
        if f"crop.{name}.resized_float" in case:
            close(case, exact / 255, case[f"crop.{name}.resized_float"].permute(0, 2, 3, 1).numpy())
        if f"crop.{name}.out" in case:
            wanted, found = (
                case[f"crop.{name}.out"].numpy().astype(int),
                views.resize(cropped, *info["dst"]),
            )
            near = np.abs(exact - np.rint(exact)) < 1e-3
            assert (np.abs(found - wanted) <= near).all()


def test_frames_of_a_block(case):
    for name, info in case.info["info"]["frame_expander"].items():
        given = case[f"expand.{name}.images"].shape[1]
        if info["reset"]:
            continue
        index = views.frame_index(given)
        assert index == case[f"expand.{name}.index"].tolist() == info["index"]
        pixels = case[f"expand.{name}.images"][:, index].permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        close(case, pixels.numpy(), case[f"expand.{name}.vae_input"].numpy())


def test_prompts_are_the_trained_ones_letter_by_letter(case):
    p = case.info["prompts"]
    for tag, info in p["by_embodiment"].items():
        contract = load_contract(tag)
        assert contract.id == info["embodiment_id"]
        assert [prompts.paragraph(i, contract) for i in p["instructions"]] == info["strings"]
    assert (
        load_yaml(share_dir() / "config" / "negative_prompt.yaml")["negative_prompt"]
        == p["negative"]
    )


def test_cleaning(case):
    pytest.importorskip("ftfy")
    for pair in case.info["prompts"]["whitespace_clean"]:
        assert prompts.clean(pair["raw"]) == pair["cleaned"]


@pytest.mark.parametrize("given", [0, 1, 2, 3, 5, 7, 10])
def test_other_numbers_of_frames_are_refused(given):
    with pytest.raises(WamError, match=f"{given} frames"):
        views.frame_index(given)


@pytest.mark.parametrize(
    ("text", "named"),
    [("", "empty"), ("  ", "empty"), ("[]", "empty"), ("['']", "empty"), ("a" * 2001, "2001")],
)
def test_empty_and_endless_instructions_are_refused(text, named):
    with pytest.raises(WamError, match=named):
        prompts.instruction_of(text)


def test_a_view_must_cover_one_rectangle():
    with pytest.raises(WamError, match="not one rectangle"):
        views.places((("a", "b"), ("b", "a")))


BAD = {
    "prompt: nothing": "instruction",
    "canvas: [[a, b], [c]]": "one length",
    "crop: 1.5": "crop",
    "canvas: [[elsewhere]]": "no views",
    "action: [{name: arm, size: 3, relative: true}]": "relative action 'arm'",
    "robots: {panda: {joints: [a], views: {}}}": "1 joints for 8 columns",
    "colour: red": "unknown key 'colour'",
}


@pytest.mark.parametrize(("line", "named"), BAD.items())
def test_a_contract_that_contradicts_itself_is_refused(tmp_path, root, line, named):
    import yaml

    data = yaml.safe_load((root / "config/contracts/oxe_droid.yaml").read_text())
    data.update(yaml.safe_load(line))
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(WamError, match=named):
        load_contract(str(tmp_path / "bad.yaml"))


def test_an_unknown_robot_of_a_contract_is_refused_with_the_known_ones():
    with pytest.raises(WamError, match="Choices: droid, panda"):
        load_contract("oxe_droid").binding("so101")


@pytest.fixture
def vocabulary(tmp_path):
    pytest.importorskip("sentencepiece")
    make_vocabulary(tmp_path)
    return tmp_path


def test_ids_are_ended_padded_and_cut(vocabulary):
    pytest.importorskip("ftfy")
    ids, mask = prompts.PromptTokenizer(vocabulary, 64)("a  red\ncup")
    length = int(mask.sum())
    assert ids.shape == mask.shape == (1, 64)
    assert ids[0, length - 1] == prompts.END
    assert not ids[0, length:].any() and (ids[0, :length] > 0).all()
    assert torch.equal(prompts.PromptTokenizer(vocabulary, 64)("a red cup")[0], ids)
    short, full = prompts.PromptTokenizer(vocabulary, 5)("a robot picks up the red cup")
    assert short.shape == (1, 5) and short[0, 4] == prompts.END and bool(full.all())


def test_a_fast_vocabulary_is_preferred(vocabulary):
    tokenizers = pytest.importorskip("tokenizers")
    pytest.importorskip("ftfy")
    fast = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({"<unk>": 2, "red": 7, "cup": 9}, unk_token="<unk>")
    )
    fast.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast.save(str(vocabulary / "tokenizer.json"))
    assert prompts.PromptTokenizer(vocabulary, 5)("red big cup")[0].tolist() == [[7, 2, 9, 1, 0]]


@pytest.mark.parametrize("name", prompts.FILES)
def test_a_missing_or_damaged_vocabulary_is_refused(tmp_path, name):
    with pytest.raises(WamError, match="holds no vocabulary"):
        prompts.PromptTokenizer(tmp_path)
    pytest.importorskip("tokenizers" if name.endswith("json") else "sentencepiece")
    (tmp_path / name).write_bytes(b"{ not a vocabulary")
    with pytest.raises(WamError, match="is not a vocabulary"):
        prompts.PromptTokenizer(tmp_path)
