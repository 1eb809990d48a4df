"""SAM 2, streaming: one call a frame."""
