"""Run in `.venv-foreign`: openpi-client's own client asks a server; what it got, as npz."""

import json
import sys

import numpy as np
from openpi_client.action_chunk_broker import ActionChunkBroker
from openpi_client.websocket_client_policy import WebsocketClientPolicy

port, token, frames, out = sys.argv[1:]
policy = WebsocketClientPolicy("127.0.0.1", int(port), token or None)
metadata = policy.get_server_metadata()
with np.load(frames) as file:
    looks = [{key: file[key][k] for key in file.files} for k in range(len(file["k"]))]
for look in looks:
    look.pop("k")
    look["prompt"] = "pick up the red block"
answers = [policy.infer(look) for look in looks]
errors = []
for wrong in ({"prompt": "go"}, {**looks[0], "prompt": "fly to the moon"}):
    try:
        policy.infer(wrong)
    except RuntimeError as error:
        errors.append(str(error))
# as openpi's robots execute a chunk: one row after another
broker = ActionChunkBroker(policy, action_horizon=metadata["action_horizon"])
rows = [broker.infer(looks[0])["actions"] for _ in range(3)]
np.savez(
    out,
    actions=np.stack([a["actions"] for a in answers]),
    infer_ms=np.array([a["server_timing"]["infer_ms"] for a in answers]),
    rows=np.stack(rows),
    errors=np.array(errors),
    metadata=np.array(json.dumps(metadata)),
)
