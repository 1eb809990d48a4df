"""Where a step of the embedded model spends its time, and under which runtime.

    python -m benchmarks.inference --json [--quick] [--threads N]

Each graph runs on what a tracker with a full memory really gives it, as it is shipped (products
with weights in int8) and exactly (float32), the latter under every runtime that is installed, turn
by turn. OpenVINO is only for comparison: `pip install openvino` to see it.
"""

import importlib.util
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks import machine
from benchmarks.engine import SIZES, WARM, our_steps, pictures
from stream.track.networks import onnx
from stream.training.checkpoint import nano_model
from stream.training.export import export

OBJECTS = (1, 2, 4, 8)

Arrays = dict[str, NDArray[np.generic]]
Run = Callable[[Arrays], list[NDArray[np.float32]]]


def onnxruntime_run(graph: Path, threads: int) -> Run:
    session = onnx._open(graph, threads)
    return lambda inputs: session.run(None, inputs)


def openvino_run(graph: Path, threads: int) -> Run:
    import openvino

    compiled = openvino.Core().compile_model(
        graph,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
        },
    )
    request = compiled.create_infer_request()

    def run(inputs: Arrays) -> list[NDArray[np.float32]]:
        request.infer(inputs, share_inputs=True)
        return [request.get_output_tensor(i).data for i in range(len(compiled.outputs))]

    return run


RUNTIMES = {"onnxruntime": onnxruntime_run, "openvino": openvino_run}


@contextmanager
def exported(size: int, exact: bool = False) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its own exporter deprecated
        export(nano_model(image_size=size), Path(folder), "nano", exact=exact)
        yield Path(folder)


def real_inputs(folder: Path, size: int, threads: int) -> dict[str, Arrays]:
    """What each graph is given when one object's memory is full."""
    inputs: dict[str, Arrays] = {}
    run = onnx._run

    def recorded(sessions: onnx.Sessions, graph: str, **given: NDArray[np.generic]) -> object:
        inputs[graph] = given
        return run(sessions, graph, **given)

    shown = pictures(size, 1 + WARM)
    with mock.patch.object(onnx, "_run", recorded):
        step, _ = our_steps(onnx.OnnxNetwork(folder, threads), shown, 1)
        for image in shown[1:]:
            step(image)
    return inputs


def in_turns(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each, taken in turns so that noise hits all alike.

    Of two calls in a row the second counts: the first finds the caches full of the others' data.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            call()
            begin = time.perf_counter()
            call()
            times[name].append(1000 * (time.perf_counter() - begin))
    return {name: round(statistics.median(taken), 2) for name, taken in times.items()}


def graph_times(
    shipped: Path, exact: Path, size: int, threads: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Milliseconds by graph and runtime; raises when a runtime computes something else."""
    found = {}
    for graph, inputs in real_inputs(exact, size, threads).items():
        runs = {
            name: runtime(exact / onnx.GRAPHS[graph], threads)
            for name, runtime in RUNTIMES.items()
            if importlib.util.find_spec(name)
        }
        expected = runs["onnxruntime"](inputs)
        for run in runs.values():
            for ours, theirs in zip(run(inputs), expected, strict=True):
                np.testing.assert_allclose(ours, theirs, atol=1e-3)
        runs["shipped"] = onnxruntime_run(shipped / onnx.GRAPHS[graph], threads)
        calls = {name: partial(run, inputs) for name, run in runs.items()}
        found[graph] = in_turns(calls, rounds)
    return found


def step_times(folder: Path, size: int, threads: int, rounds: int) -> dict[str, float]:
    """Milliseconds of a whole step by number of objects, at full memory."""
    network = onnx.OnnxNetwork(folder, threads)
    shown = pictures(size, 1 + WARM + 2 * rounds)
    calls = {}
    for objects in OBJECTS:
        step, _ = our_steps(network, shown, objects)
        for image in shown[1 : 1 + WARM]:
            step(image)
        rest = iter(shown[1 + WARM :])
        calls[str(objects)] = lambda step=step, rest=rest: step(next(rest))
    return in_turns(calls, rounds)


def main() -> None:
    options = machine.parser(__doc__)
    options.add_argument("--threads", type=int, default=2, help="threads a call may use")
    arguments = options.parse_args()
    rounds = 4 if arguments.quick else 24
    graphs, steps = {}, {}
    for size in tqdm(SIZES, "sizes", file=sys.stderr):
        with exported(size) as folder, exported(size, exact=True) as exact:
            graphs[str(size)] = graph_times(folder, exact, size, arguments.threads, rounds)
            steps[str(size)] = step_times(folder, size, arguments.threads, rounds)
    first = {size: by_objects["1"] for size, by_objects in steps.items()}
    most = str(OBJECTS[-1])
    further = {
        size: (by_objects[most] - first[size]) / (OBJECTS[-1] - 1)
        for size, by_objects in steps.items()
    }
    result = {
        "threads": arguments.threads,
        "graph_ms": graphs,
        "step_ms": steps,
        "steps_per_s": {size: round(1000 / taken, 1) for size, taken in first.items()},
        "further_object_ms": {size: round(taken, 2) for size, taken in further.items()},
        "further_share": {size: round(further[size] / first[size], 3) for size in first},
    }
    if arguments.json:
        machine.print_json(result)
    else:
        for name, value in result.items():
            print(f"{name:20} {value}")


if __name__ == "__main__":
    main()
