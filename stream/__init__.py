"""segstream: point at a thing in a live video, get it back tracked and composited."""

__version__ = "0.1.0"
