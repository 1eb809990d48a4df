"""GET /metrics: the process's metrics, and the state of this server at the moment."""

from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stream import __version__
from stream.metrics import PREFIX, REGISTRY
from stream.server.drain import Drain
from stream.server.rtc import Peers
from stream.worker.supervisor import Supervisor

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SERVER = web.AppKey("metrics", CollectorRegistry)


class ServerState(Collector):
    """Asked when somebody asks /metrics, so that nothing has to be kept up to date."""

    def __init__(self, peers: Peers, tracker: Supervisor, drain: Drain) -> None:
        self._peers = peers
        self._tracker = tracker
        self._drain = drain

    def collect(self) -> Iterator[Metric]:
        worker = self._tracker.health()
        yield _gauge("sessions", "Live sessions at the moment", len(self._peers))
        yield _gauge("draining", "1: it ends, and takes no new sessions", self._drain.has_begun)
        yield _gauge("worker_up", "1: the tracker's process is at work", worker.state == "ready")
        yield _gauge("worker_silence_seconds", "Since it last said something", worker.silent or 0)
        restarts = f"{PREFIX}_worker_restarts", "Processes that took the place of one that died"
        yield CounterMetricFamily(*restarts, value=worker.restarts)
        ages = GaugeMetricFamily(
            f"{PREFIX}_queue_age_seconds",
            "How long what waits longest has waited, of all sessions",
            labels=("queue",),
        )
        for queue, age in (self._peers.queue_ages() | self._tracker.queue_ages()).items():
            ages.add_metric((queue,), age)
        yield ages
        info = GaugeMetricFamily(f"{PREFIX}_info", "What is run", labels=("version", "model"))
        info.add_metric((__version__, self._peers.model), 1)
        yield info


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=float(value))


def state_of(peers: Peers, tracker: Supervisor, drain: Drain) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(ServerState(peers, tracker, drain))
    return registry


async def get_metrics(request: web.Request) -> web.Response:
    """Prometheus's text format 0.0.4."""
    text = generate_latest(request.app[SERVER]) + generate_latest(REGISTRY)
    return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})
