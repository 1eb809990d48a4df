"""Fake cameras: clips written as the y4m files that Chromium plays in a loop."""

from pathlib import Path

import av

VIDEO = Path(__file__).parents[2].parent / "shared" / "data" / "video"


def write_camera(path: Path, clip: str, width: int, height: int, last: int, step: int = 1) -> Path:
    """Every step-th picture of VIDEO/clip up to `last`, forth and back, so that the loop has no
    jump. 10 a second leaves a busy machine time for the rest."""
    with av.open(VIDEO / clip) as container:
        frames = [
            frame.reformat(width, height, "yuv420p").to_ndarray().tobytes()
            for index, frame in zip(range(last), container.decode(video=0), strict=False)
            if index % step == 0
        ]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode())
        for frame in frames + frames[-2:0:-1]:
            file.write(b"FRAME\n" + frame)
    return path
