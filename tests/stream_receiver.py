"""A receiver for tests: FFmpeg, by PyAV, waits for a publisher and decodes what comes, once more
after each, since a publisher whose pictures change in size connects anew.

Run as stream_receiver.py URL PICTURE, with a URL of RTMP or RTSP: prints a line of JSON for each
picture and each frame of sound, and writes every tenth picture to the file PICTURE.
"""

import contextlib
import json
import os
import sys

import av
import cv2
import numpy as np

LISTEN = {"rtmp": {"listen": "1"}, "rtsp": {"rtsp_flags": "listen", "listen_timeout": "60"}}

LOUD = 0.05
"""Of full scale."""


MOST = 50
"""Connections, one after the other."""


def main(url, picture):
    print("ready", flush=True)
    for _ in range(MOST):
        with contextlib.suppress(av.FFmpegError, OSError):
            receive(url, picture)


def receive(url, picture):
    with av.open(url, options=LISTEN[url.partition(":")[0]], timeout=(60, 20)) as container:
        number = 0
        for frame in container.decode(*container.streams.video, *container.streams.audio):
            if frame.pts is None:  # over RTSP, until a sender report has come
                continue
            if isinstance(frame, av.AudioFrame):
                print(json.dumps(heard(frame)), flush=True)
                continue
            seconds = float(frame.pts * frame.time_base)
            size = [frame.width, frame.height]
            pixels = frame.to_ndarray(format="bgr24")
            if number % 10 == 9:
                cv2.imwrite(f"{picture}.part.png", pixels)
                os.replace(f"{picture}.part.png", picture)
            number += 1
            told = {"size": size, "seconds": seconds, "brightness": float(pixels.mean())}
            print(json.dumps(told), flush=True)


def heard(frame):
    """When it begins, and when it is loud first."""
    seconds = float(frame.pts * frame.time_base)
    loud = np.flatnonzero(np.abs(frame.to_ndarray()[0]) > LOUD)
    first = seconds + int(loud[0]) / frame.sample_rate if loud.size else None
    return {"sound": seconds, "loud": first}


if __name__ == "__main__":
    main(*sys.argv[1:])
