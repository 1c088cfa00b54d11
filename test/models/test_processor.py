"""What a processor computes fast is tried, chosen by its time, and kept."""

import dataclasses
import json
import math

import pytest

torch = pytest.importorskip("torch")

from wam_ros.models import processor as module  # noqa: E402
from wam_ros.models.dreamzero.shared.packed import PackedLinear  # noqa: E402
from wam_ros.models.processor import Processor, Timing, cache_file, measure  # noqa: E402

WIDE = Timing(product=1.0, packed=0.9, convolution=1.0, training=6.0)
NATIVE = Timing(product=0.5, packed=0.4, convolution=0.6, training=3.0)
EMULATED = Timing(product=5.0, packed=math.inf, convolution=40.0, training=180.0)
NONE = Timing(*[math.inf] * 4)


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """`processor()` as a new process would ask it, with a cache folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "measure", lambda: Processor("measured", WIDE, NATIVE))
    module.processor.cache_clear()
    yield lambda: (module.processor.cache_clear(), module.processor())[1]
    module.processor.cache_clear()


@pytest.mark.parametrize(
    ("narrow", "precision", "packs"),
    [
        (NATIVE, torch.bfloat16, True),
        (EMULATED, torch.float32, False),
        (NONE, torch.float32, False),
        # no worse is not enough: half the digits must buy something
        (dataclasses.replace(WIDE), torch.float32, True),
    ],
)
def test_the_narrow_precision_is_taken_where_it_is_faster(narrow, precision, packs):
    found = Processor("some", WIDE, narrow)
    assert found.predicting == found.training == precision
    assert found.packs(torch.float32) and found.packs(torch.bfloat16) == packs
    assert not found.packs(torch.float64)


def test_answering_and_learning_are_chosen_apart():
    found = Processor("some", WIDE, dataclasses.replace(NATIVE, training=60.0))
    assert (found.predicting, found.training) == (torch.bfloat16, torch.float32)


def test_matrices_are_not_packed_where_that_is_slower():
    assert not Processor("some", dataclasses.replace(WIDE, packed=2.0), NATIVE).packs(torch.float32)


@pytest.mark.parametrize(
    ("narrow", "words"),
    [
        (NATIVE, "answers in bfloat16 (float32 takes 1.9 times as long), matrices packed; learns"),
        (EMULATED, "answers in float32 (bfloat16 takes 23.7 times as long), matrices packed; l"),
        (NONE, "learns in float32 (bfloat16 is not there)"),
    ],
)
def test_one_line_says_what_was_chosen_and_why(narrow, words):
    said = str(Processor("AMD EPYC (AVX2)", WIDE, narrow))
    assert words in said and said.startswith("AMD EPYC (AVX2): ") and "\n" not in said


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_was_tried_is_what_a_layer_then_meets(dtype):
    """On a processor without AVX-512 packing bfloat16 raises, although oneDNN is there."""
    found = measure()
    timing = found.float32 if dtype == torch.float32 else found.bfloat16
    assert 0 < timing.product < math.inf and 0 < timing.training < math.inf
    linear = torch.nn.Linear(64, 48).to(dtype).requires_grad_(False)
    x = torch.ones(3, 64, dtype=dtype)
    if timing.packed < math.inf:
        torch.testing.assert_close(PackedLinear(linear)(x), linear(x), atol=0.05, rtol=0)
    else:
        with pytest.raises(RuntimeError):
            PackedLinear(linear)


def test_measuring_leaves_torch_as_it_was():
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    threads = torch.get_num_threads()
    with torch.inference_mode():
        assert measure().float32.training < math.inf
        assert torch.is_inference_mode_enabled()
    assert torch.equal(torch.rand(1), wanted) and torch.get_num_threads() == threads


def test_it_is_measured_once_and_then_read(asked, monkeypatch):
    first = asked()
    monkeypatch.setattr(module, "measure", lambda: pytest.fail("measured again"))
    assert asked() == first


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}', "negative", "words"])
def test_a_damaged_file_is_measured_anew(asked, text):
    asked()
    path = cache_file()
    whole = json.loads(path.read_text())
    if text in ("negative", "words"):
        whole["bfloat16"]["training"] = -1.0 if text == "negative" else "fast"
        text = json.dumps(whole)
    path.write_text(text)
    assert asked().name == "measured"
    assert json.loads(path.read_text())["bfloat16"]["training"] == NATIVE.training


def test_a_folder_that_cannot_be_written_is_no_error(asked, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    assert asked().name == "measured"


def test_infinite_times_survive_the_file(asked, monkeypatch):
    monkeypatch.setattr(module, "measure", lambda: Processor("measured", WIDE, EMULATED))
    asked()
    monkeypatch.setattr(module, "measure", lambda: pytest.fail("measured again"))
    assert asked().bfloat16.packed == math.inf


def test_another_limit_of_the_instructions_is_another_machine(asked, monkeypatch):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    here = cache_file()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert cache_file() != here
