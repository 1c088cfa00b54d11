"""Serves any policy of LeRobot with its processors on openpi's wire. Runs in LeRobot's environment.

    pip install msgpack
    python lerobot_server.py --policy outputs/train/act/checkpoints/last/pretrained_model

It needs nothing of wam_ros; copy it to where the policy is. A request has LeRobot's own keys
(`observation.images.NAME` (H, W, 3) uint8, `observation.state`), `prompt`, and `session_id`: with a
new one the policy begins anew. The answer is `actions` (T, A): the whole chunk, unnormalised; and
with `--fps`, of a policy that decodes what it imagines, `imagined_frames` (F, V, H, W, 3) and
`imagined_ns` after the observation.

    ros2 launch wam_ros bringup.launch.py model:=lerobot_panda@ws://HOST:8000
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import os
import time
from typing import Any

import msgpack
import numpy as np
import torch
from aiohttp import WSMsgType, web
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.utils import populate_queues, prepare_observation_for_inference

MOST_BYTES = 16 << 20
DTYPES = {"|u1", "<f4", "<f8", "<i4", "<i8"}
# they go on from every frame of the chunk that was executed. They are sent the newest one alone,
# and would else answer as if nothing had been seen since the first
STREAMING = {"lingbot_va"}


class Served:
    """A policy, and whoever asks it now. It has one memory, and so one robot."""

    def __init__(self, path: str, device: str, fps: float) -> None:
        # every type of policy registers itself where it is imported, which this does
        import lerobot.policies  # noqa: F401

        config = PreTrainedConfig.from_pretrained(path)
        if device:
            config.device = device
        self.policy = get_policy_class(config.type).from_pretrained(path, config=config)
        self.policy.eval()
        place = {"device_processor": {"device": str(config.device)}}
        self.before, self.after = make_pre_post_processors(
            config, pretrained_path=path, preprocessor_overrides=place
        )
        self.config = config
        self.fps = fps
        self.session = ""
        self.lock = asyncio.Lock()

    def metadata(self) -> dict[str, Any]:
        """Said first: what it takes and gives, by LeRobot's own names."""
        (action,) = self.config.output_features.values()
        return {
            "server": "lerobot",
            "model": f"lerobot {self.config.type}",
            "inputs": {k: list(f.shape) for k, f in self.config.input_features.items()},
            "action_size": action.shape[0],
        }

    def reset(self) -> None:
        """Begin anew."""
        self.policy.reset()
        self.before.reset()
        self.after.reset()

    @torch.inference_mode()
    def infer(self, message: dict[str, Any]) -> dict[str, Any]:
        """One chunk; raises `ValueError` with words for whoever asked."""
        if message.get("session_id", "") != self.session:
            self.session = message.get("session_id", "")
            self.reset()
        elif self.config.type in STREAMING:
            self.reset()
        began = time.perf_counter()
        seen = {}
        for key, feature in self.config.input_features.items():
            value = message.get(key)
            shape = tuple(feature.shape)
            wanted = (*shape[1:], shape[0]) if "image" in key else shape
            if not isinstance(value, np.ndarray) or value.shape != wanted:
                found = getattr(value, "shape", "nothing")
                raise ValueError(f"'{key}' is {found}, expected {wanted}")
            seen[key] = value.copy() if "image" in key else value.astype(np.float32)
        prompt = message.get("prompt", "")
        device = torch.device(self.config.device)
        batch = self.before(prepare_observation_for_inference(seen, device, str(prompt)))
        rows = self.after(self._chunk(batch)).squeeze(0).float().cpu().numpy()
        imagined = self._imagined(list(message), len(rows))
        took = 1e3 * (time.perf_counter() - began)
        return {"actions": rows, "server_timing": {"infer_ms": took}, **imagined}

    def _imagined(self, asked: list[str], steps: int) -> dict[str, Any]:
        """What a policy imagined with its newest chunk, if it keeps that: LingBot-VA does, with
        `save_predicted_video`. Views are in the order of the request's keys.
        """
        latents = getattr(self.policy, "last_predicted_latents", None)
        if latents is None or not self.fps or self.config.camera_layout != "width_concat":
            return {}
        # (1 + F, H, V * W, 3); the first one is what was seen
        frames = self.policy.decode_predicted_latents(latents).numpy()[1:]
        views = list(self.config.obs_cam_keys)
        each = np.split(frames, len(views), axis=2)
        order = [views.index(key) for key in asked if key in views]
        period_ns = 1e9 * steps / self.fps / len(frames)
        return {
            "imagined_frames": np.ascontiguousarray(np.stack([each[k] for k in order], axis=1)),
            "imagined_ns": [round(period_ns * (k + 1)) for k in range(len(frames))],
        }

    def _chunk(self, batch: dict[str, Any]) -> torch.Tensor:
        """(1, T, A) normalised. A policy that looks at several steps keeps them in queues, which
        its own `select_action` fills; `predict_action_chunk` only reads them.
        """
        if hasattr(self.policy, "_queues") and getattr(self.config, "n_obs_steps", 1) > 1:
            batch = {key: value for key, value in batch.items() if key != "action"}  # of training
            if self.config.image_features:
                views = [batch[key] for key in self.config.image_features]
                batch = {**batch, "observation.images": torch.stack(views, dim=-4)}
            self.policy._queues = populate_queues(self.policy._queues, batch)
        return self.policy.predict_action_chunk(batch)


def pack(message: Any) -> bytes:
    """As `openpi_client.msgpack_numpy`."""
    return msgpack.packb(message, default=_packed)


def unpack(data: bytes) -> dict[str, Any]:
    """The other way round; raises `ValueError`."""
    found = msgpack.unpackb(data, object_hook=_array, strict_map_key=False)
    if not isinstance(found, dict):
        raise ValueError("a message is a map")
    return found


def _packed(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} has no place in a message")
    return {
        b"__ndarray__": True,
        b"data": value.tobytes(),
        b"dtype": value.dtype.str,
        b"shape": value.shape,
    }


def _array(found: dict[Any, Any]) -> Any:
    if b"__ndarray__" not in found:
        return found
    if found[b"dtype"] not in DTYPES:
        raise ValueError(f"arrays of {found[b'dtype']!r:.20} are not read")
    return np.ndarray(tuple(found[b"shape"]), found[b"dtype"], found[b"data"])


def door(served: Served, token: str) -> Any:
    """What answers one connection."""

    async def talk(request: web.Request) -> web.StreamResponse:
        if request.path == "/healthz":
            return web.Response(text="OK\n")
        # a browser says one of them, and no page has business here
        if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:
            return web.Response(status=403, text="this server answers programs\n")
        said = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if token and not hmac.compare_digest(said, f"Api-Key {token}".encode()):
            return web.Response(status=401, text="a token is wanted\n")
        ws = web.WebSocketResponse(max_msg_size=MOST_BYTES, compress=False)
        await ws.prepare(request)
        await ws.send_bytes(pack(served.metadata()))
        async for message in ws:
            if message.type is not WSMsgType.BINARY:
                break
            try:
                asked = unpack(message.data)
                async with served.lock:
                    if asked.get("endpoint") == "reset":
                        served.reset()
                        answer: Any = "reset successful"
                    else:
                        answer = pack(await asyncio.to_thread(served.infer, asked))
            except Exception as error:  # a client is told, and may ask again
                answer = f"{type(error).__name__}: {error}"
            await (ws.send_str if isinstance(answer, str) else ws.send_bytes)(answer)
        return ws

    return talk


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--policy", required=True, help="folder of a trained policy, or hub name")
    parser.add_argument("--device", default="", help="cuda, cpu; default: that of its training")
    parser.add_argument("--host", default="127.0.0.1", help="others need POLICY_TOKEN to be set")
    parser.add_argument("--port", type=int, default=8000)
    words = "actions per second: what a world model imagines is answered, too"
    parser.add_argument("--fps", type=float, default=0.0, help=words)
    args = parser.parse_args()
    token = os.environ.get("POLICY_TOKEN", "")
    if args.host not in ("127.0.0.1", "::1", "localhost") and len(token) < 22:
        parser.error("--host lets other machines ask: set POLICY_TOKEN to 22 characters or more")
    served = Served(args.policy, args.device, args.fps)
    app = web.Application()
    app.router.add_get("/{path:.*}", door(served, token))
    print(f"ws://{args.host}:{args.port}: {served.metadata()}", flush=True)
    web.run_app(app, host=args.host, port=args.port, print=None, shutdown_timeout=1.0)


if __name__ == "__main__":
    main()
