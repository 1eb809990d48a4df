"""GET /metrics: the process's metrics, and the state of this server at the moment."""

import asyncio
from collections.abc import Iterator, Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stream import __version__
from stream.egress import publication
from stream.ingest.source import Phase
from stream.jobs.store import QUEUED, RUNNING, Summary
from stream.metrics import PREFIX, REGISTRY
from stream.server.cameras import CAMERAS
from stream.server.drain import DRAIN
from stream.server.health import TRACKER
from stream.server.mjpeg import VIEWERS
from stream.server.rtc import PEERS
from stream.server.submit import SUBMISSIONS

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ServerState(Collector):
    """Asked when somebody asks /metrics, so that nothing has to be kept up to date."""

    def __init__(self, app: web.Application, jobs: Summary) -> None:
        self._app = app
        self._tracker = app[TRACKER]
        self._jobs = jobs

    def collect(self) -> Iterator[Metric]:
        worker, peers = self._tracker.health(), self._app[PEERS]
        draining = self._app[DRAIN].has_begun
        yield _gauge("sessions", "Live sessions at the moment, without cameras", len(peers))
        jpeg = len(self._app[VIEWERS])
        yield _gauges("viewers", "Who only watches", "by", {**peers.watching, "jpeg": jpeg})
        cameras = self._app[CAMERAS].list()
        phases = {str(phase): 0 for phase in Phase}
        for camera in cameras:
            phases[camera.phase] += 1
        yield _gauges("cameras", "Cameras in each state", "state", phases)
        yield _gauges(
            "publications", "Targets that streams are sent to", "state", _publications(self._app)
        )
        jobs = {state: self._jobs.counts[state] for state in (QUEUED, RUNNING)}
        yield _gauges("jobs", "Jobs on whole videos, of all servers of the data", "state", jobs)
        reserved = self._jobs.held / 1000
        yield _gauge("credits_reserved", "Seconds of video that keys' jobs may cost yet", reserved)
        yield _gauge("draining", "1: it ends, and takes no new sessions", draining)
        yield _gauge("worker_up", "1: the tracker's process is at work", worker.state == "ready")
        yield _gauge("worker_silence_seconds", "Since it last said something", worker.silent or 0)
        restarts = f"{PREFIX}_worker_restarts", "Processes that took the place of one that died"
        yield CounterMetricFamily(*restarts, value=worker.restarts)
        sessions = [*peers.queue_ages(), *(camera.session.queue_ages() for camera in cameras)]
        ages = {
            queue: max((ages[queue] for ages in sessions), default=0.0)
            for queue in ("compose", "egress")
        }
        yield _gauges(
            "queue_age_seconds",
            "How long what waits longest has waited, of all sessions and cameras",
            "queue",
            ages | self._tracker.queue_ages() | {"jobs": self._jobs.age},
        )
        info = GaugeMetricFamily(f"{PREFIX}_info", "What is run", labels=("version", "model"))
        info.add_metric((__version__, peers.model), 1)
        yield info


def _publications(app: web.Application) -> Mapping[str, int]:
    """How many are in each state, of cameras and sessions."""
    counts = {str(phase): 0 for phase in publication.Phase}
    of_cameras = [camera.outlets.publications for camera in app[CAMERAS].list()]
    for found in (*of_cameras, *app[PEERS].all_publications):
        for phase in found.phases():
            counts[phase] += 1
    return counts


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=float(value))


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    made = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=(label,))
    for value, amount in values.items():
        made.add_metric((value,), float(amount))
    return made


async def get_metrics(request: web.Request) -> web.Response:
    """Prometheus's text format 0.0.4."""
    store = request.app[SUBMISSIONS].jobs.store
    state = CollectorRegistry()
    state.register(ServerState(request.app, await asyncio.to_thread(store.summary)))
    text = generate_latest(state) + generate_latest(REGISTRY)
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})
