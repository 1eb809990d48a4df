"""A receiver for tests: FFmpeg, by PyAV, waits for one publisher and decodes what comes.

Run as stream_receiver.py URL PICTURE, with a URL of RTMP or RTSP: prints a line of JSON for each
picture and each frame of sound, and writes every tenth picture to the file PICTURE.
"""

import json
import os
import sys

import av
import cv2
import numpy as np

LISTEN = {"rtmp": {"listen": "1"}, "rtsp": {"rtsp_flags": "listen", "listen_timeout": "60"}}

LOUD = 0.05
"""Of full scale."""


def main(url, picture):
    print("ready", flush=True)
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
