"""What the program counts of itself, for Prometheus.

Anybody adds a metric here, and changes it where the thing happens, as in
`FRAMES_DROPPED["compose"].inc()`.

A metric with a label is a mapping from each value that the label can have, so that no client can
make it grow, and each series is there, at zero, from the start.
"""

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client import disable_created_metrics as _disable_created_metrics

# It would add a second series to each, of what the process's start time tells already.
_disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()
"""Of the process: whatever happens in it, for whichever server."""

PREFIX = "segstream"

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.033, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Upper bounds of histograms: from one effect on a small picture to a worker that hangs; 0.033 is
one picture at 30 a second."""


def counter(name: str, text: str) -> Counter:
    return Counter(name, text, namespace=PREFIX, registry=REGISTRY)


def counters(name: str, text: str, label: str, values: Sequence[str]) -> Mapping[str, Counter]:
    made = Counter(name, text, (label,), namespace=PREFIX, registry=REGISTRY)
    return {value: made.labels(value) for value in values}


def gauge(name: str, text: str) -> Gauge:
    return Gauge(name, text, namespace=PREFIX, registry=REGISTRY)


def gauges(name: str, text: str, label: str, values: Sequence[str]) -> Mapping[str, Gauge]:
    made = Gauge(name, text, (label,), namespace=PREFIX, registry=REGISTRY)
    return {value: made.labels(value) for value in values}


def histogram(name: str, text: str) -> Histogram:
    return Histogram(name, text, namespace=PREFIX, registry=REGISTRY, buckets=SECONDS)


def histograms(name: str, text: str, label: str, values: Sequence[str]) -> Mapping[str, Histogram]:
    made = Histogram(name, text, (label,), namespace=PREFIX, registry=REGISTRY, buckets=SECONDS)
    return {value: made.labels(value) for value in values}


ProcessCollector(registry=REGISTRY)

RESPONSES = counters(
    "http_responses", "HTTP answers", "status", [f"{kind}xx" for kind in range(1, 6)]
)

SESSIONS_STARTED = counter("sessions_started", "Live sessions that began")

FRAMES_IN = counter("frames_in", "Pictures that live sessions received")

FRAMES_OUT = counter("frames_out", "Composited pictures that were handed to an encoder")

FRAMES_TRACKED = counter("frames_tracked", "Pictures that got masks of their own")

FRAMES_DROPPED = counters(
    "frames_dropped",
    "Pictures that a newer one took the place of before the stage named began them, or that it "
    "could not use; late and thinned on a machine that is too busy; decoder and decoded as they "
    "waited too long for it, or after it; viewer: of each viewer one by one. A picture that the "
    "tracker drops still goes out, with older masks",
    "reason",
    (
        "decoder",
        "decoded",
        "tracker",
        "compose",
        "egress",
        "too_large",
        "broken",
        "late",
        "thinned",
        "encoder",
        "viewer",
    ),
)

JITTER_BUFFER = counters(
    "jitter_buffer",
    "What the network did to the pictures of WebRTC peers: packets that came too late, gaps that "
    "were skipped, packets dropped with them, keyframes asked for, and senders' restarts",
    "event",
    ("late", "skipped", "dropped", "asked", "restarts"),
)

STAGE_SECONDS = histograms(
    "stage_seconds",
    "Time of one picture: wait (received until composited), compose, latency (both together), and "
    "track (the device's time for its masks)",
    "stage",
    ("wait", "compose", "latency", "track"),
)

JOBS_ENDED = counters(
    "jobs_ended", "Jobs on whole videos that ended", "state", ("done", "failed", "cancelled")
)

CREDITS_CHARGED = counter("credits_charged", "Seconds of video that keys were charged for")

MASK_AGE = histogram("mask_age_seconds", "How much older than the picture its masks' picture was")

LOOP_LAG = histogram("event_loop_lag_seconds", "How late the event loop was for what was due")
