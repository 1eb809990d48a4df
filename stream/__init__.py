"""segstream: point at a thing in a live video, get the stream back with it tracked and composited."""

__version__ = "0.1.0"
