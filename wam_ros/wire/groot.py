"""The wire of GR00T's policy server, as `gr00t/policy/server_client.py` of Isaac-GR00T N1.6 and
N1.7 speaks it: one MessagePack map for one question, arrays in numpy's own file format (.npy).

A question is `{endpoint, data, api_token}`, an answer is what the endpoint returns, or
`{error: text}`. Read with the bounds of `wam_ros.wire.packing`; no array of objects is read, so
that nothing in an answer can run code.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgpack
import numpy as np

from wam_ros.wire.contract import WireContract
from wam_ros.wire.packing import DTYPES, WireError, array_of, unpack

MODALITIES = ("video", "state", "language")  # of an observation; keys are `video.NAME`
ACTION = "action"
MOST_HEAD = 1024  # characters of the head of an array


def pack_asked(endpoint: str, token: str, data: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of a question.

    Raises:
        WireError: something in it has no place in a message.
    """
    asked: dict[str, Any] = {"endpoint": endpoint}
    if data is not None:
        asked["data"] = data
    if token:
        asked["api_token"] = token
    try:
        return bytes(msgpack.packb(asked, default=_packed))
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"cannot be packed: {error}") from error


def read_answer(data: bytes) -> Any:
    """What a server answered, with its arrays; raises `WireError`."""
    return unpack(data, _read_map)


def observation_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """What `get_action` is asked, from the flat keys of a contract: one robot, one frame.

    Args:
        message: of `request_of`; `video.NAME` (H, W, 3), `state.NAME` (n,), `language.NAME` text.

    Raises:
        WireError: a key of another form.
    """
    found: dict[str, dict[str, Any]] = {name: {} for name in MODALITIES}
    for key, value in message.items():
        modality, _, name = key.partition(".")
        if modality == "video":
            value = value[None, None]
        elif modality == "state":
            value = np.asarray(value, np.float32)[None, None]
        elif modality == "language":
            value = [[value]]
        else:
            raise WireError(f"'{key}' is of no modality; GR00T has {', '.join(MODALITIES)}")
        found[modality][name] = value
    return found


def actions_of(answer: Any) -> dict[str, np.ndarray]:
    """{`action.NAME`: (T, n)} of what `get_action` answered, which is actions and remarks.

    Raises:
        WireError: it is something else, or for several robots.
    """
    if not isinstance(answer, list) or not answer or not isinstance(answer[0], Mapping):
        raise WireError("the answer is no list that begins with a map of actions")
    found = {}
    for name, value in answer[0].items():
        if not isinstance(value, np.ndarray) or value.ndim != 3 or len(value) != 1:
            raise WireError(f"the action '{name}' is no array (1, T, n)")
        found[f"{ACTION}.{name}"] = value[0]
    return found


def require_contract(contract: WireContract, said: Any) -> None:
    """Refuse a server whose modalities are others than the contract's.

    Args:
        contract: by which it is asked.
        said: what it answers to `get_modality_config`; a server that knows none says an empty map.

    Raises:
        WireError: naming the key.
    """
    if not isinstance(said, Mapping):
        raise WireError("its modalities are no map")
    if not said:
        return
    told = [*contract.images, *contract.state, contract.prompt, *contract.action_parts]
    for modality in (*MODALITIES, ACTION):
        names, offsets = _modality(said, modality)
        mine = [key.partition(".")[2] for key in told if key.partition(".")[0] == modality]
        if missing := sorted(set(names) - set(mine)) if modality != ACTION else []:
            raise WireError(f"it wants '{modality}.{missing[0]}', which the contract does not have")
        if unknown := sorted(set(mine) - set(names)):
            has = ", ".join(f"{modality}.{name}" for name in names)
            raise WireError(f"it has no '{modality}.{unknown[0]}' of the contract; it has {has}")
        if modality != ACTION and offsets != [0]:
            raise WireError(f"it wants {modality} at the steps {offsets}; one is sent, of now")


def _modality(said: Mapping[str, Any], modality: str) -> tuple[list[str], list[int]]:
    """Names and steps of one modality."""
    about = said.get(modality)
    names = about.get("modality_keys") if isinstance(about, Mapping) else None
    offsets = about.get("delta_indices") if isinstance(about, Mapping) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise WireError(f"it does not say which keys '{modality}' has")
    if not isinstance(offsets, list) or not all(type(step) is int for step in offsets):
        raise WireError(f"it does not say of which steps '{modality}' is")
    return [name[:80] for name in names], offsets


def _packed(value: Any) -> Any:
    """What msgpack does not know by itself."""
    if not isinstance(value, np.ndarray) or value.dtype.str not in DTYPES:
        raise TypeError(
            f"{getattr(value, 'dtype', type(value).__name__)} has no place in a message"
        )
    file = io.BytesIO()
    np.save(file, value, allow_pickle=False)
    return {"__ndarray_class__": True, "as_npy": file.getvalue()}


def _read_map(found: dict[Any, Any]) -> Any:
    """A map as it was read, or what a server packs as one."""
    if "__ndarray_class__" in found:
        if set(found) != {"__ndarray_class__", "as_npy"}:
            raise WireError("an array has exactly the keys __ndarray_class__ and as_npy")
        return _read_npy(found["as_npy"])
    if "__ModalityConfig_class__" in found:
        about = found.get("as_json")
        # N1.6 says it as text, N1.7 as a map
        return _read_text(about) if isinstance(about, str) else about
    return found


def _read_text(about: str) -> Any:
    try:
        return json.loads(about)
    except (ValueError, RecursionError) as error:
        raise WireError("a modality is no JSON") from error


def _read_npy(data: object) -> np.ndarray:
    """An array of a file in memory; its head is looked at before memory is taken for it.

    `numpy.load` would take as much as the head claims.
    """
    if not isinstance(data, bytes):
        raise WireError("an array's file is bytes")
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):  # the others are for names of columns
            raise WireError(f"arrays in the file format {version} are not read; (1, 0) is")
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file, MOST_HEAD)
    except WireError:
        raise
    # a head is read as a literal of Python's, whose errors are of many kinds
    except Exception as error:
        raise WireError(f"no array of numpy's file format: {str(error)[:80]}") from error
    if dtype.hasobject or dtype.str not in DTYPES:
        raise WireError(f"arrays of {dtype.str[:20]!r} are not read")
    sizes: Sequence[int] = shape[::-1] if by_columns else shape
    array = array_of(dtype.str, list(sizes), data[file.tell() :])
    return array.T if by_columns else array
