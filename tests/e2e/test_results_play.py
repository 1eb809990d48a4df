"""What jobs and the hosted call give back, played by the browser that people have."""

import time

import pytest
import requests

from tests import drawn_clips

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

WAIT = 240
"""Seconds in which a job must be done, which steps back for all else that a busy machine does."""

COUNT = 30

PLAY = """
async (url) => {
  const happens = (video, event) => new Promise((resolve, reject) => {
    video.addEventListener(event, resolve, { once: true });
    video.onerror = () => reject(new Error(video.error.message));
    setTimeout(() => reject(new Error(`no ${event} within 20 s`)), 20_000);
  });
  const open = async () => {
    const video = document.createElement("video");
    document.body.append(video);
    video.muted = true;
    video.src = url;
    await happens(video, "loadeddata");
    return video;
  };
  const played = await open();
  const ended = happens(played, "ended");
  await played.play();
  await ended;
  const { duration, currentTime, videoWidth, videoHeight } = played;
  const { corruptedVideoFrames } = played.getVideoPlaybackQuality();
  played.remove();

  const sought = await open();
  const seeked = happens(sought, "seeked");
  sought.currentTime = 0.51; // which asks for ranges
  await seeked;
  const canvas = new OffscreenCanvas(videoWidth, videoHeight);
  const context = canvas.getContext("2d");
  context.drawImage(sought, 0, 0);
  sought.remove();
  const at = (x, y) => [...context.getImageData(x, y, 1, 1).data];
  return {
    duration, currentTime, size: [videoWidth, videoHeight], corrupted: corruptedVideoFrames,
    inside: at(90, 60), outside: at(140, 110),
  };
}
"""
"""The picture after half a second, when the square is in the middle."""


def called(server, path, overlay):
    """The hosted call's answer: the bytes of a video."""
    with path.open("rb") as file:
        fields = {"coordinates": "[60,60]", "overlay_mask": str(overlay).lower()}
        answer = requests.post(
            f"{server.url}/v1/sam-v2-video", files={"input_video": file}, data=fields, timeout=WAIT
        )
    assert answer.status_code == 200, answer.text
    return answer.content


def work(server, path):
    """Urls of a job's results."""
    with path.open("rb") as file:
        fields = {"prompts": '[{"point": [60, 60]}]', "exports": "video,mask,cutout"}
        answer = requests.post(
            f"{server.url}/jobs", files={"input": file}, data=fields, timeout=WAIT
        )
    assert answer.status_code == 202, answer.text
    place = server.url + answer.headers["Location"]
    deadline = time.monotonic() + WAIT
    while (job := requests.get(place, timeout=20).json())["state"] != "done":
        assert job["state"] in ("queued", "running"), job
        assert time.monotonic() < deadline, job
        time.sleep(0.2)
    return {one["name"]: server.url + one["url"] for one in job["results"]}


def fulfill(route, body):
    """The bytes that are asked for, as a web server would send them."""
    wanted = route.request.headers.get("range", "bytes=0-")
    first, last = wanted.removeprefix("bytes=").split("-")
    part = body[int(first) : int(last) + 1 if last else None]
    place = f"bytes {first}-{int(first) + len(part) - 1}/{len(body)}"
    headers = {"content-type": "video/mp4", "content-range": place}
    route.fulfill(status=206, body=part, headers=headers)


def test_chromium_plays_the_results(server, page, tmp_path):
    clip = drawn_clips.make(tmp_path / "drawn.mp4", count=COUNT, audio="aac")
    results = work(server, clip)
    # Under the page's own address, which is all that it may play from.
    calls = {"called-overlay.mp4": True, "called-mask.mp4": False}
    results |= {name: f"{server.url}/{name}" for name in calls}
    bodies = {results[name]: called(server, clip, overlay) for name, overlay in calls.items()}
    page.route("**/called-*.mp4", lambda route: fulfill(route, bodies[route.request.url]))
    page.goto(server.url)
    for name, url in results.items():
        found = page.evaluate(PLAY, url)
        assert found["size"] == [160, 120]
        assert found["duration"] == pytest.approx(COUNT * 1001 / 30000, abs=0.1)
        assert found["currentTime"] == pytest.approx(found["duration"], abs=0.05)
        assert found["corrupted"] == 0
        inside, outside = found["inside"], found["outside"]
        match name:
            case "video.mp4" | "called-overlay.mp4":
                assert max(inside[:3]) - min(inside[:3]) > 30  # the tint
                assert max(outside[:3]) - min(outside[:3]) < 60
            case "mask.mp4" | "called-mask.mp4":
                assert min(inside[:3]) > 225
                assert max(outside[:3]) < 30
            case "cutout.webm":
                assert inside[3] > 225
                assert outside[3] < 30
