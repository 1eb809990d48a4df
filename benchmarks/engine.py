"""How fast the tracker steps and what it keeps, beside the official SAM2VideoPredictor.

    python -m benchmarks.engine --json [--quick]

All have the embedded model's weights and see the same pictures, turn by turn in one run.

steps_per_s: the tracker as the program runs it, on the exported graphs. torch_steps_per_s: the
same tracker on the torch modules that the official predictor uses. Memory: what one object adds,
counted in arrays that are kept, and each process's peak. --quick: fewer frames, and beside the
others at the program's own input size alone.
"""

import gc
import multiprocessing
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np
import torch
from sam2.sam2_video_predictor import SAM2VideoPredictor
from tqdm import tqdm

from benchmarks import machine
from benchmarks.davis import DATA, clips, read_mask
from benchmarks.official import OfficialStream
from benchmarks.parity import Scenario, images
from stream.frames import Image
from stream.prompts import MaskPrompt
from stream.track import catalog
from stream.track.networks.base import Network
from stream.track.networks.onnx import OnnxNetwork
from stream.track.networks.sam2 import Sam2Network
from stream.track.tracker import Tracker, step_together
from stream.training.checkpoint import nano_model
from stream.training.export import export

OBJECTS = (1, 4, 16)
SESSIONS = (1, 2, 4)
SIZES = (256, 384)
"""Of the input; the program's own among them."""

WARM = 16
"""Frames until the memory bank is full and a step costs what it will always cost."""

Step = Callable[[Image], object]


def side() -> int:
    """Of the embedded model's input, in pixels."""
    return catalog.MODELS[catalog.EMBEDDED].sizes[0]


def pictures(size: int, count: int) -> list[Image]:
    clip = clips(DATA, ["dog"])[0]
    shown = images(clip, Scenario({}), size, min(count, len(clip)))
    return [shown[index % len(shown)] for index in range(count)]


def prompts(objects: int) -> list[MaskPrompt]:
    mask = read_mask(clips(DATA, ["dog"])[0].annotations[0])
    return [MaskPrompt(id, np.roll(mask, 20 * id, axis=1)) for id in range(1, objects + 1)]


def our_steps(network: Network, shown: list[Image], objects: int) -> tuple[Step, Tracker]:
    """One step a picture, all objects prompted on the first."""
    tracker = Tracker(network)
    tracker.step(shown[0], prompts(objects))
    return tracker.step, tracker


def official_steps(shown: list[Image], objects: int) -> tuple[Step, OfficialStream]:
    model = nano_model(cls=SAM2VideoPredictor, image_size=len(shown[0].rgb))
    assert isinstance(model, SAM2VideoPredictor)
    official = OfficialStream(model, shown)
    for prompt in prompts(objects):
        official.prompt(0, [prompt])
    numbers = iter(range(1, len(shown)))
    return lambda image: official.advance(next(numbers)), official


def rates(steps: dict[str, Step], shown: list[Image]) -> dict[str, float]:
    """Median steps per second of each, taken in turns so that noise hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for count, image in enumerate(shown[1:]):
        for name, step in steps.items():
            begin = time.perf_counter()
            step(image)
            if count >= WARM:
                times[name].append(time.perf_counter() - begin)
    return {name: round(1 / statistics.median(taken), 2) for name, taken in times.items()}


def kept_bytes(*roots: object) -> int:
    """Of all arrays and tensors that `roots` keep alive, each storage once."""
    seen: set[int] = set()
    storages: dict[int, int] = {}
    todo = list(roots)
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, type | ModuleType | torch.nn.Module):
            continue
        seen.add(id(thing))
        if isinstance(thing, FunctionType):  # what it closes over, but nothing of its module
            todo += thing.__closure__ or ()
            continue
        if isinstance(thing, torch.Tensor):
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
        elif isinstance(thing, np.ndarray):
            base = thing if thing.base is None else thing.base
            storages[id(base)] = getattr(base, "nbytes", thing.nbytes)
        todo += gc.get_referents(thing)
    return sum(storages.values())


def growth(who: str, frames: int) -> tuple[int, float | None]:
    """Bytes a thousand frames that tracking one object adds, and the peak memory in MB.

    Runs in a process of its own, for the peak's sake.
    """
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply_async(_growth, (who, frames)).get(timeout=600)


def _growth(who: str, frames: int) -> tuple[int, float | None]:
    shown = pictures(side(), frames)
    if who == "official":
        step, official = official_steps(shown, 1)
        # The predictor wants the whole clip in advance; its pictures grow with the stream too.
        pixels = official.state["images"][0].nbytes
        root: object = official.state["output_dict_per_obj"]
    else:
        network = catalog.load() if who == "ours" else Sam2Network(nano_model())
        step, tracker = our_steps(network, shown, 1)
        pixels, root = 0, (tracker._objects, tracker._undo, tracker._frames)
    sizes = []
    for image in shown[1:]:
        step(image)
        sizes.append(kept_bytes(root))
    half = len(sizes) // 2
    per_frame = (sizes[-1] - sizes[half - 1]) / (len(sizes) - half) + pixels
    return round(per_frame * 1000), peak_mb()


def peak_mb() -> float | None:
    """Most memory this process ever held; getrusage would count its parent's too."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    (kilobytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return round(int(kilobytes) / 1024, 1)


def session_rates(count: int) -> dict[str, float]:
    """Steps a second and session, one object each, when sessions step together."""
    network, shown, found = catalog.load(), pictures(side(), count), {}
    for sessions in SESSIONS:
        trackers = [our_steps(network, shown, 1)[1] for _ in range(sessions)]

        def step(image: Image, trackers: list[Tracker] = trackers) -> None:
            step_together(trackers, [image] * len(trackers))

        found[str(sessions)] = rates({"all": step}, shown)["all"]
    return found


def snapshot_cost(network: Network, count: int) -> dict[str, float]:
    """Size of one object's snapshot when its memory is full, and the median time to take it."""
    shown = pictures(side(), count)
    step, tracker = our_steps(network, shown, 1)
    times = []
    for image in shown[1:]:
        step(image)
        begin = time.perf_counter()
        data = tracker.snapshot()
        times.append(time.perf_counter() - begin)
    return {"bytes": len(data), "ms": round(1000 * statistics.median(times), 2)}


def graphs(size: int) -> OnnxNetwork:
    """The embedded model as the program runs it, at another input size."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its own exporter deprecated
        export(nano_model(image_size=size), Path(folder), "nano")
        return OnnxNetwork(Path(folder), torch.get_num_threads())


def nano_rate(network: Network, count: int) -> float:
    """Steps a second with one object, nothing else in turns with it."""
    shown = pictures(network.spec.image_size, count)
    step, _ = our_steps(network, shown, 1)
    return rates({"nano": step}, shown)["nano"]


def compared(network: Network, count: int) -> dict[str, dict[str, float]]:
    """Steps a second of each by number of objects, in turns."""
    size = network.spec.image_size
    shown = pictures(size, count)
    found: dict[str, dict[str, float]] = {name: {} for name in ("ours", "official", "torch")}
    for objects in tqdm(OBJECTS, f"objects at {size}", file=sys.stderr):
        steps = {
            "ours": our_steps(network, shown, objects)[0],
            "official": official_steps(shown, objects)[0],
            "torch": our_steps(Sam2Network(nano_model(image_size=size)), shown, objects)[0],
        }
        for name, rate in rates(steps, shown).items():
            found[name][str(objects)] = rate
    return found


def main() -> None:
    arguments = machine.parser(__doc__).parse_args()
    measured = 5 if arguments.quick else 30
    count = 1 + WARM + measured
    networks = {size: graphs(size) for size in SIZES}
    sizes = (side(),) if arguments.quick else SIZES
    by_size = {size: compared(networks[size], count) for size in sizes}
    found = by_size[side()]
    frames = 60 if arguments.quick else 200
    kept = {who: growth(who, frames) for who in ("ours", "official", "torch")}
    result = {
        "image_size": side(),
        "steps_per_s": found["ours"],
        "official_steps_per_s": found["official"],
        "torch_steps_per_s": found["torch"],
        "by_size": {str(size): by_objects for size, by_objects in by_size.items()},
        "session_steps_per_s": session_rates(count),
        "nano_steps_per_s": {
            str(size): nano_rate(network, count) for size, network in networks.items()
        },
        "bytes_per_1000_frames": kept["ours"][0],
        "official_bytes_per_1000_frames": kept["official"][0],
        "snapshot": snapshot_cost(catalog.load(), count),
        "peak_mb": {who: peak for who, (_, peak) in kept.items()},
    }
    if arguments.json:
        machine.print_json(result)
    else:
        for name, value in result.items():
            print(f"{name:32} {value}")


if __name__ == "__main__":
    main()
