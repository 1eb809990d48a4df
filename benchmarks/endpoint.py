"""Draw docs/images/endpoint.jpg: what POST /v1/sam-v2-video answers for a clip of a person at a
webcam (CC BY 4.0), with a prompt, with coordinates, and with coordinates that are removed.

    python -m benchmarks.endpoint [--clip FILE] [--out FILE]

Each call goes over HTTP to a server that is begun for it. The first column shows the points: a ring
on the object, a cross on what is not.
"""

import argparse
import asyncio
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import av
import cv2
import numpy as np
from aiohttp import web
from numpy.typing import NDArray

from benchmarks import davis, machine
from stream.server.app import create_app
from stream.settings import Settings

CLIP = davis.DATA.parents[1] / "video" / "webcam" / "walk.mkv"
TARGET = machine.REPOSITORY / "docs" / "images" / "endpoint.jpg"
COLUMNS = 4
TILE = (320, 240)
BODY, FACE = [320, 330], [310, 150]
SWEATER = [BODY, [250, 300], [240, 400], [400, 400]]
SEVERAL = {"coordinates": SWEATER, "remove_coordinates": [FACE, [310, 100]]}
CALLS: dict[str, dict[str, Any]] = {
    "prompt": {"prompt": "person"},
    "prompt, mask": {"prompt": "person", "overlay_mask": False},
    "coordinates": {"coordinates": [BODY]},
    "remove_coordinates, one point each": {"coordinates": [BODY], "remove_coordinates": [FACE]},
    "remove_coordinates, several": SEVERAL,
    "the same, mask": {**SEVERAL, "overlay_mask": False},
}
TIMEOUT = aiohttp.ClientTimeout(total=600)


async def answers(video: bytes, data: Path) -> list[tuple[str, dict[str, Any], bytes]]:
    """A caption, the fields and the answer of each call. Raises RuntimeError for a refusal."""
    runner = web.AppRunner(create_app(Settings(data=data)))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/sam-v2-video"
    found = []
    try:
        async with aiohttp.ClientSession(timeout=TIMEOUT) as http:
            for name, fields in CALLS.items():
                form = aiohttp.FormData({key: _text(value) for key, value in fields.items()})
                form.add_field("input_video", video, filename="clip")
                async with http.post(url, data=form) as response:
                    body = await response.read()
                    if response.status != 200:
                        raise RuntimeError(f"{name}: {response.status} {body[:300]!r}")
                found.append((name, fields, body))
    finally:
        await runner.cleanup()
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def row(caption: str, fields: dict[str, Any], body: bytes) -> NDArray[np.uint8]:
    """The pictures of one answer, BGR uint8."""
    with av.open(io.BytesIO(body)) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    even = np.linspace(0, len(pictures) - 1, COLUMNS).round().astype(int)
    shown = [pictures[index].copy() for index in even]
    for name, marker in (("coordinates", False), ("remove_coordinates", True)):
        for point in fields.get(name, []):
            _mark(shown[0], point, marker)
    tiles = [cv2.resize(picture, TILE, interpolation=cv2.INTER_AREA) for picture in shown]
    cv2.rectangle(tiles[0], (0, 0), (12 + 8 * len(caption), 20), (0, 0, 0), -1)
    cv2.putText(tiles[0], caption, (6, 14), 0, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return np.hstack(tiles)


def _mark(picture: NDArray[np.uint8], point: list[int], is_removed: bool) -> None:
    for colour, thickness in (((0, 0, 0), 6), ((255, 255, 255), 3)):
        if is_removed:
            cv2.drawMarker(picture, point, colour, cv2.MARKER_TILTED_CROSS, 26, thickness)
        else:
            cv2.circle(picture, point, 13, colour, thickness, cv2.LINE_AA)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    if not options.clip.is_file():
        print(f"endpoint: there is no {options.clip}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as data:
        found = asyncio.run(answers(options.clip.read_bytes(), Path(data)))
    sheet = np.vstack([row(*one) for one in found])
    if not cv2.imwrite(str(options.out), sheet, [cv2.IMWRITE_JPEG_QUALITY, 85]):
        print(f"endpoint: cannot write {options.out}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
