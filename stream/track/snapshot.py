"""Objects and their memories as bytes, so that another process can go on with them.

A numpy archive: `header`, JSON that names the objects and the arrays each consists of, and the
arrays, numbered in that order. Nothing of it is ever unpickled.
"""

import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.errors import InputError
from stream.limits import MAX_OBJECTS
from stream.track.bank import Memory, MemoryBank
from stream.track.networks.base import Decoded, Network, Spec
from stream.track.objects import TrackedObject
from stream.track.window import Square

FORMAT = 3


def pack(objects: Iterable[TrackedObject], network: Network) -> bytes:
    """The objects without what belongs to the current picture alone."""
    arrays: list[NDArray[Any]] = []

    def keep(tensor: object) -> None:
        arrays.append(network.to_array(tensor))

    entries = []
    for known in objects:
        finding, bank = known.finding, known.bank
        assert finding is not None
        keep(finding.logits)
        keep(finding.pointer)
        for memory in (*bank.conditioning, *bank.spatial):
            keep(memory.spatial)
            keep(memory.pointer)
        for memory in bank.pointers:
            keep(memory.pointer)
        entries.append(
            {
                "id": known.id,
                "clock": known.clock,
                "remembered": known.remembered,
                "tracked": known.tracked,
                "points": known.points,
                "word": known.word,
                "square": [known.square.x, known.square.y, known.square.side],
                "phrase": known.phrase,
                "score": finding.score,
                "iou": finding.iou,
                "conditioning": [memory.index for memory in bank.conditioning],
                "spatial": [memory.index for memory in bank.spatial],
                "pointers": [memory.index for memory in bank.pointers],
            }
        )
    header = {"format": FORMAT, "shape": _shape(network.spec), "objects": entries}
    file = io.BytesIO()
    named: dict[str, Any] = {str(i): array for i, array in enumerate(arrays)}
    named["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(file, **named)
    return file.getvalue()


def unpack(data: bytes, network: Network, max_conditioning: int | None) -> list[TrackedObject]:
    """The objects of a snapshot. Raises InputError when it is damaged or fits another network."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            header = json.loads(archive["header"].tobytes())
            if header["format"] != FORMAT or header["shape"] != _shape(network.spec):
                raise InputError(
                    f"the snapshot has format {header['format']} and shape {header['shape']}; "
                    f"wanted format {FORMAT} and shape {_shape(network.spec)}"
                )
            arrays = (archive[str(i)] for i in range(len(archive.files) - 1))
            return [
                _object(entry, arrays, network, max_conditioning)
                for entry in header["objects"][:MAX_OBJECTS]
            ]
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        StopIteration,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise InputError(f"the snapshot is damaged: {error!r}") from error


def _object(
    entry: dict[str, Any],
    arrays: Iterator[NDArray[Any]],
    network: Network,
    max_conditioning: int | None,
) -> TrackedObject:
    def take() -> Any:
        return network.to_tensor(next(arrays))

    side = network.spec.image_size // 4
    logits = next(arrays)
    if logits.shape != (side, side):
        raise ValueError(f"logits are {logits.shape}; wanted ({side}, {side})")
    finding = Decoded(network.to_tensor(logits), take(), float(entry["score"]), float(entry["iou"]))
    bank = MemoryBank(network.spec, max_conditioning)
    for memories, name in ((bank.conditioning, "conditioning"), (bank.spatial, "spatial")):
        memories.extend(Memory(int(index), take(), take()) for index in entry[name])
    bank.pointers.extend(Memory(int(index), None, take()) for index in entry["pointers"])
    return TrackedObject(
        id=int(entry["id"]),
        bank=bank,
        clock=int(entry["clock"]),
        remembered=bool(entry["remembered"]),
        tracked=bool(entry["tracked"]),
        word=None if entry["word"] is None else int(entry["word"]),
        phrase=None if entry["phrase"] is None else str(entry["phrase"]),
        points=tuple((float(x), float(y), int(label)) for x, y, label in entry["points"]),
        finding=finding,
        square=Square(*(float(share) for share in entry["square"])),
    )


def _shape(spec: Spec) -> Sequence[int]:
    return [spec.image_size, spec.num_memories, spec.num_pointers]
