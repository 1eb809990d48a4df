"""No sound is lost where a recording goes on in another file: what is in the files is counted."""

import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import av
import numpy as np
import pytest
from rtc_client import eventually

import stream.egress.recording
from stream.egress.recording import Recording
from stream.fanout import Fanout
from stream.frames import Frame
from stream.limits import RECORD_SOUND_WAIT

RATE, SAMPLES, PICTURES = 48_000, 960, 30


class Source:
    """What a Recording asks of a session; what belongs together comes together.

    bunch: frames of sound that come at once, as over a network that holds packets back: the first
    of them is late.
    """

    has_sound = False  # as far as is known: nothing is waited for

    def __init__(self, bunch: int = 1) -> None:
        self._fanout: Fanout[Frame] = Fanout(1)
        self.watch, self.unwatch = self._fanout.watch, self._fanout.unwatch
        self._hear: Any = None
        self._bunch = bunch
        self._shown = self._heard = self.told = 0

    def listen(self, hear: Any) -> None:
        self._hear = hear

    def unlisten(self, hear: Any) -> None:
        self._hear = None

    def show(self, size: int = 64) -> None:
        now = self._shown / PICTURES
        pts = round(now * 90_000)
        self._fanout.put(Frame(black(size), self._shown, pts, Fraction(1, 90_000), 1000 + now))
        self._shown += 1

    async def play(
        self, recording: Recording, seconds: float, *, size: int = 64, silent: bool = False
    ) -> None:
        """As fast as it is recorded."""
        missing = self._shown - int(str(recording.state()["pictures"]))
        for _ in range(round(seconds * PICTURES)):
            now = self._shown / PICTURES
            self.show(size)
            await eventually(lambda: recording.state()["pictures"] == self._shown - missing)
            while (self._heard + self._bunch) * SAMPLES / RATE <= now:
                for _ in range(self._bunch):
                    if not silent:
                        self._hear(tone(self._heard), 1000 + now)
                        self.told += 1
                    self._heard += 1


def black(size: int) -> av.VideoFrame:
    picture = av.VideoFrame(size, size, "yuv420p")
    for plane in picture.planes:
        plane.update(bytes(plane.buffer_size))
    return picture


def tone(number: int) -> av.AudioFrame:
    """20 ms of one whose loudness never changes."""
    times = (np.arange(SAMPLES) + number * SAMPLES) / RATE
    wave = (np.sin(times * 2 * np.pi * 1000) * 12_000).astype(np.int16)
    sound = av.AudioFrame.from_ndarray(wave[None], "s16", "mono")
    sound.sample_rate, sound.pts = RATE, number * SAMPLES
    sound.time_base = Fraction(1, RATE)
    return sound


def loud(path: Path) -> float:
    """Seconds of the tone that a file has."""
    with av.open(str(path)) as file:
        if not file.streams.audio:
            return 0.0
        samples = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    # A tone is near nothing twice in a millisecond: it is there where it is loud close by.
    is_loud = np.convolve(np.abs(samples) > 0.2, np.ones(25), "same") > 0
    return float(is_loud.sum()) / RATE


async def test_the_sound_of_a_source_that_connects_slowly_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its first file would end with the first sound."""
    clock = SimpleNamespace(monotonic=lambda: now, time=time.time)
    monkeypatch.setattr(stream.egress.recording, "time", clock)
    now = 1000.0
    source = Source()
    source.has_sound = True
    recording = Recording(cast(Any, source), tmp_path)
    recording.start()
    now += 10 * RECORD_SOUND_WAIT
    source.show()
    await eventually(lambda: recording._timeline._last is not None)
    now += RECORD_SOUND_WAIT / 2
    source._hear(tone(0), 1000.0)
    await source.play(recording, 0.5)
    await recording.close()
    assert len(recording.written.paths) == 1
    assert loud(recording.written.paths[0]) > 0.3


@pytest.mark.parametrize("bunch", [1, 5])
async def test_no_sound_is_lost_where_a_file_follows_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bunch: int
) -> None:
    monkeypatch.setattr(stream.egress.recording, "RECORD_SECONDS", 0.7)
    source = Source(bunch)
    recording = Recording(cast(Any, source), tmp_path)
    recording.start()
    await source.play(recording, 0.5, silent=True)
    await source.play(recording, 3)
    await source.play(recording, 1, size=96)
    left = len(recording._sounds)
    await recording.close()
    files = list(recording.written.paths)
    assert len(files) > 6
    told = (source.told - left) * SAMPLES / RATE
    heard = [loud(path) for path in files]
    print(f"\n{heard} {sum(heard):.3f} s of {told:.3f} s")
    assert heard[0] == 0
    assert sum(heard) == pytest.approx(told, abs=0.002 * len(files))
