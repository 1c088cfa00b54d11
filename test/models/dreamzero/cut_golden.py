"""Cut a folder of golden cases to what the default suite can afford, keeping its form.

    python test/models/dreamzero/cut_golden.py <from> <to> [case ...]

Tensors are dropped by name; a sub-case, scenario or call that lost its tensors leaves the JSON as
well.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

# Names that match are dropped. What is not listed here is copied whole.
DROP = {
    "dit_train": r"(c2|c4)\.",
    "dit_train_ti2v": r"c2\.mid\.",
    "dit_infer": r"denoise\d\.mid\.",
    "unipc": r"(skip7|skip6|decoupled_full16)\.",
    "loss": r"(?!coupled\.)",
    "chunk_loop": r"(in\.)?call5|call\d\.(video|action)_samples|decoupled|full16",
    # The encoder of Wan 2.1; its decoder is that of 2.2 but for the channels that an upsampling
    # halves.
    "vae21": r"mid\.|decoded|in\.random|action_head\.vae\.model\.(decoder|conv2)",
    "vae22": r"mid\.|decoded$|decoded_random|in\.random|latents_first",
    "t5": r"raw|mid\.block\d+\.attn",
    "clip": (
        r"action_head.*\.transformer\.([2-9]|\d\d)|tokens|mid\.pre_norm|mid\.block0\.attn"
        r"|preprocessed"
    ),
    "transforms": r"crop\.((droid_ratio|half_offsets)\.(resized_float|out)|up\.resized_float)",
}
# Autoencoders stream: what they make of the first frames does not depend on the later ones.
FRAMES = {
    "vae21": {"in.clip": 5, "latents": 2},
    "vae22": {"in.clip": 5, "latents": 2, "decoded_unclamped": 5},
}
FRAMES["vae21"]["latents_first_plus_zeros"] = 2
# mappings of the JSON whose keys are the first word of tensor names
SUBCASES = ("subcases", "scenarios")


def cut(source: Path, target: Path, case: str) -> int:
    """Write one case, cut; returns its size in bytes."""
    info = json.loads((source / f"{case}.json").read_text(encoding="utf-8"))
    tensors = load_file(source / f"{case}.safetensors")
    drop = re.compile(DROP.get(case, r"$^"))
    kept = {name: value for name, value in tensors.items() if not drop.match(name)}
    for name, frames in FRAMES.get(case, {}).items():
        kept[name] = kept[name][:, :, :frames].contiguous()
    if case == "clip":  # a tower of two blocks returns what its first block made
        info["config"]["vision_layers"] = 2
        kept["tokens"] = kept.pop("mid.block0")
    info["tensors"] = {
        name: info["tensors"][name] | {"shape": list(value.shape)} for name, value in kept.items()
    }
    first = {name.partition(".")[0] for name in kept}
    for key in SUBCASES:
        if key in info:
            info[key] = {name: entry for name, entry in info[key].items() if name in first}
    if "calls" in info:
        info["calls"] = [entry for entry in info["calls"] if f"call{entry['call']}" in first]
    info.pop("fp32_vs_fp64_max_abs", None)
    target.mkdir(parents=True, exist_ok=True)
    save_file(kept, target / f"{case}.safetensors")
    (target / f"{case}.json").write_text(json.dumps(info) + "\n", encoding="utf-8")
    return sum((target / f"{case}{end}").stat().st_size for end in (".json", ".safetensors"))


def main() -> None:
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    for case in sys.argv[3:] or sorted(path.stem for path in source.glob("*.json")):
        print(f"{case:16s} {cut(source, target, case):>9,d} bytes")


if __name__ == "__main__":
    main()
