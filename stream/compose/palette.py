"""A colour of its own for every object."""

import colorsys

GOLDEN_RATIO = 0.618034
FIRST_HUE = 0.96
"""Makes object 1 blue, the hue that skin, wood and walls have least of."""

SHADES = ((0.78, 1.0), (0.95, 0.85), (0.55, 1.0))
"""Saturation and value, in turn, so that near hues differ in lightness too."""


def colour(object_id: int) -> str:
    """The object's colour "#rrggbb"; consecutive ids are far apart on the colour circle."""
    hue = (FIRST_HUE + object_id * GOLDEN_RATIO) % 1
    saturation, value = SHADES[object_id % len(SHADES)]
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
