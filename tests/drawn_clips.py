"""Short videos for the tests of files: drawn ones, and the beginnings of real ones."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

DATA = Path(__file__).parents[1].parent / "shared" / "data"
VIDEO = DATA / "video"

NTSC = Fraction(1, 30000)


def steady(i):
    return i * 1001


def drawn(width, height, i):
    """A dark picture with a bright square that moves right, brighter in its upper half."""
    rgb = np.full((height, width, 3), 30, np.uint8)
    rgb[:, : width // 8] = (60, 20, 20)
    left = width // 4 + 2 * i
    rgb[height // 3 : height // 3 * 2, left : left + width // 4] = (200, 220, 200)
    rgb[height // 3 : height // 2, left : left + width // 4] = (250, 250, 250)
    return rgb


def tone(i, samples=1600, rate=48000):
    phase = 2 * np.pi * 440 * (np.arange(samples) + i * samples) / rate
    frame = av.AudioFrame.from_ndarray(
        np.tile(0.2 * np.sin(phase), (2, 1)).astype(np.float32), "fltp", "stereo"
    )
    frame.sample_rate, frame.pts, frame.time_base = rate, i * samples, Fraction(1, rate)
    return frame


def make(
    path,
    count=12,
    width=160,
    height=120,
    time_base=NTSC,
    pts=steady,
    video="libx264",
    audio=None,
    rotation=0,
    mirror=False,
    aspect=None,
    colours=None,
    options=None,
    pixel_format="yuv420p",
    audio_start=0,
):
    """Write a drawn clip. pts: from a picture's number to its time; audio_start: in tones of
    1600 samples. Returns the path."""
    path = Path(path)
    with av.open(str(path), "w", container_options=options or {}) as container:
        pictures = container.add_stream(
            video, rate=30, time_base=time_base, width=width, height=height
        )
        pictures.pix_fmt = pixel_format
        if video == "libx264":
            pictures.codec_context.options = {"crf": "12", "preset": "ultrafast"}
        if aspect:
            pictures.codec_context.sample_aspect_ratio = aspect
        for name, value in (colours or {}).items():
            setattr(pictures.codec_context, name, value)
        if rotation or mirror:
            pictures.set_display_rotation(rotation, hflip=mirror)
        sound = container.add_stream(audio, rate=48000) if audio else None
        for i in range(count):
            picture = av.VideoFrame.from_ndarray(drawn(width, height, i), "rgb24")
            picture = picture.reformat(format=pixel_format)
            picture.pts, picture.time_base = pts(i), time_base
            container.mux(pictures.encode(picture))
            if sound is not None:
                container.mux(sound.encode(tone(i + audio_start)))
        container.mux(pictures.encode(None))
        if sound is not None:
            container.mux(sound.encode(None))
    return path


def sound_only(path):
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=48000)
        for i in range(5):
            container.mux(sound.encode(tone(i)))
        container.mux(sound.encode(None))
    return path


def beginning(source, target, seconds):
    """The packets of a real clip's first seconds, as they are."""
    with av.open(str(source)) as clip, av.open(str(target), "w") as container:
        streams = [s for s in clip.streams if s.type in ("video", "audio")]
        copies = {s.index: container.add_stream_from_template(s, opaque=True) for s in streams}
        for packet in clip.demux(streams):
            # Matroska does not say when the first packets are to be decoded.
            if not packet.size or (packet.dts or 0) * packet.time_base >= seconds:
                continue
            packet.stream = copies[packet.stream.index]
            container.mux(packet)
    return target


def cut(source, target, share):
    """A file's first bytes."""
    data = Path(source).read_bytes()
    Path(target).write_bytes(data[: int(len(data) * share)])
    return target


def pictures(path):
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def times(path):
    """Of all pictures, in seconds, exactly."""
    return [picture.pts * picture.time_base for picture in pictures(path)]


def packets(path):
    """Bytes and times of the sound that is to be heard."""
    with av.open(str(path)) as container:
        return [
            (bytes(packet), packet.pts * packet.time_base)
            for packet in container.demux(audio=0)
            if packet.size and not packet.is_discard
        ]
