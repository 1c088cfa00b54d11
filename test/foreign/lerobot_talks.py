"""Run in an environment of its own: LeRobot's own loader and writer, with numbers as npz.

usage: lerobot_talks.py read ROOT OUT.npz | write ROOT IN.npz video|image CODEC
"""

import sys

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

VIEWS = ("front", "wrist")


def read(root, out):
    found = LeRobotDataset("some/body", root=root, video_backend="pyav")
    rows = [found[i] for i in range(len(found))]
    numbers = ("action", "observation.state", "timestamp", "episode_index", "frame_index", "index")
    told = {name: np.stack([r[name].numpy() for r in rows]) for name in numbers}
    for view in VIEWS:
        frames = np.stack([r[f"observation.images.{view}"].numpy() for r in rows])
        told[view] = np.round(frames * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    mean = found.meta.stats["action"]["mean"]
    np.savez(out, tasks=[r["task"] for r in rows], fps=found.fps, mean=mean, **told)


def write(root, given, kind, codec):
    data = np.load(given)
    names = [str(n) for n in data["joint_names"]]
    numbers = {"dtype": "float32", "shape": (len(names),), "names": names}
    features = {"observation.state": numbers, "action": numbers}
    for view in VIEWS:
        shape = data[view].shape[1:]
        told = {"dtype": kind, "shape": shape, "names": ["height", "width", "channels"]}
        features[f"observation.images.{view}"] = told
    more = {"vcodec": codec} if codec else {}
    found = LeRobotDataset.create("some/body", 10, features, root=root, robot_type="arm", **more)
    old = not hasattr(found, "finalize")
    for k, episode in enumerate(data["episode_index"]):
        row = {name: data[name][k] for name in ("observation.state", "action")}
        row |= {f"observation.images.{view}": data[view][k] for view in VIEWS}
        task = str(data["tasks"][k])
        found.add_frame(row, task) if old else found.add_frame(row | {"task": task})
        if k + 1 == len(data["episode_index"]) or data["episode_index"][k + 1] != episode:
            found.save_episode()
    if not old:
        found.finalize()


{"read": read, "write": write}[sys.argv[1]](*sys.argv[2:])
