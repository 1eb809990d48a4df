"""The network that the settings name, and a tracker on it for one video."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stream.limits import SEARCH_TIMEOUT
from stream.settings import NETWORK, Settings, keys
from stream.track import catalog, finder
from stream.track.networks.base import Network
from stream.track.tracker import Tracker


def load_network(settings: Settings) -> Network:
    """Raises ModelError."""
    return catalog.load(
        settings.model,
        threads=settings.threads,
        device=settings.device,
        half=settings.half,
        compile=settings.compile,
        weights=settings.weights,
    )


def new_tracker(settings: Settings, network: Network, texts: Iterable[str]) -> Tracker:
    """For a video whose pictures wait for their masks. texts: what objects are asked for by; where
    one is no word of the network, there is a detector, if the settings name one.

    Raises ModelError.
    """
    found = None
    if finder.is_wanted(texts, network.spec.words):
        found = finder.start(settings.text_model, settings.threads, settings.device, SEARCH_TIMEOUT)
    return Tracker(network, windowed=settings.window, finder=found)


def as_json(settings: Settings) -> dict[str, Any]:
    """Those of the network, for a process that is to load it."""
    names = [found.name for found, key in keys() if key.group == NETWORK]
    weights = settings.weights and str(settings.weights)
    return {**{name: getattr(settings, name) for name in names}, "weights": weights}


def of_json(given: Mapping[str, Any]) -> Settings:
    """What `as_json` wrote; all other settings, and those left out, are the defaults."""
    weights = given.get("weights")
    return Settings(**{**given, "weights": weights and Path(weights)})
