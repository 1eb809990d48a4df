"""A receiver for tests: FFmpeg, by PyAV, waits for one RTMP publisher and decodes what comes.

Run as rtmp_receiver.py URL PICTURE: prints a line of JSON for each picture, and writes every tenth
to the file PICTURE.
"""

import json
import os
import sys

import av
import cv2


def main(url, picture):
    print("ready", flush=True)
    with av.open(url, options={"listen": "1"}, timeout=(60, 20)) as container:
        stream = container.streams.video[0]
        for number, frame in enumerate(container.decode(stream)):
            seconds = float(frame.pts * frame.time_base)
            size = [frame.width, frame.height]
            if number % 10 == 9:
                cv2.imwrite(f"{picture}.part.png", frame.to_ndarray(format="bgr24"))
                os.replace(f"{picture}.part.png", picture)
            print(json.dumps({"size": size, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
