"""Each effect on the picture. Whatever hides asks first whether it may show anything."""

import av

from stream.compose import looks, overlay, spill
from stream.compose.blur import blurred
from stream.compose.canvas import Canvas, inverse, scaled
from stream.compose.colour_space import ColourSpace
from stream.compose.effects import Effect
from stream.compose.matte import Matte
from stream.compose.palette import colour
from stream.compose.planes import Planes
from stream.compose.scene import Layer
from stream.compose.view import View

MARGIN = 0.006
"""How far beyond its edge an object is hidden, as a share of the picture's longer side: 8 pixels of
720p, more than the matte is off."""

ERASED = 0.012
"""The same for one that is erased: what is left of it at the border is seen at once against what
was behind it, so all that the matte is in doubt of is taken with it."""

PAINT = {"overlay": overlay.tint, "contour": overlay.contour, "glow": overlay.glow}


def draw(
    layer: Layer, canvas: Canvas, view: View, picture: av.VideoFrame, pixel_aspect: float
) -> None:
    """Put one effect on the canvas. picture: the source, for its colour tags."""
    effect = layer.effect
    space = ColourSpace.of(picture)
    if effect.name == "none":
        return
    if effect.name in PAINT:
        for id in view.ids(effect.objects):
            found = view.single(id)
            if found is not None and found.luma.any():
                PAINT[effect.name](
                    canvas.own(), found.luma, space.codes(colour(id)), effect.strength
                )
    elif effect.name in ("mask", "alpha"):
        _show_matte(effect, canvas, view, space)
    elif effect.name in ("spotlight", "desaturate"):
        _change(effect, canvas, view, space)
    elif effect.on == "background":
        _hide_background(layer, canvas, view, space, pixel_aspect)
    elif effect.name == "erase":
        _erase(effect, canvas, view, pixel_aspect)
    elif effect.on == "object":
        _hide_objects(layer, canvas, view, space, pixel_aspect)
    else:
        canvas.put(_look(layer, canvas, None, view, space, pixel_aspect), None)


def _look(
    layer: Layer,
    canvas: Canvas,
    objects: Matte | None,
    view: View,
    space: ColourSpace,
    pixel_aspect: float,
) -> Planes:
    """What is shown in place of what is hidden. objects: to be kept out of a blur."""
    effect, picture = layer.effect, canvas.now
    height, width = picture.y.shape
    if layer.backdrop is not None:
        return layer.backdrop.planes(width, height, space, pixel_aspect, view.time)
    canvas.copies += 1
    if effect.name == "pixelate":
        return looks.pixelated(picture, effect.strength)
    return blurred(picture, objects, effect.strength, pixel_aspect)


def _hide_background(
    layer: Layer, canvas: Canvas, view: View, space: ColourSpace, pixel_aspect: float
) -> None:
    effect = layer.effect
    opening = view.opening(effect.objects).objects
    cutout = view.cutout(effect.objects) if opening > 0 else None
    objects = None if cutout is None else cutout.matte
    behind = _look(layer, canvas, objects, view, space, pixel_aspect)
    if cutout is None:
        canvas.put(behind, None)
        return
    keep = scaled(cutout.matte, opening)
    is_source = canvas.is_source
    canvas.put(behind, keep)
    # The colours known are the source's: effects below may have changed what stands at the edge.
    if layer.backdrop is not None and opening == 1 and is_source:
        spill.remove(canvas.now, keep, cutout.contrast)


def _hide_objects(
    layer: Layer, canvas: Canvas, view: View, space: ColourSpace, pixel_aspect: float
) -> None:
    effect = layer.effect
    opening = view.opening(effect.objects).rest
    keep: Matte | None = None
    if opening > 0:
        cutout = view.cutout(effect.objects)
        if cutout is None and opening == 1:
            return  # all have left the picture
        keep = scaled(_all_but(cutout.matte if cutout else None, canvas.now), opening)
    canvas.put(_look(layer, canvas, None, view, space, pixel_aspect), keep)


def _all_but(objects: Matte | None, picture: Planes) -> Matte:
    if objects is None:
        return inverse(looks.nothing(picture))
    return inverse(looks.grown(objects.luma, MARGIN))


def _erase(effect: Effect, canvas: Canvas, view: View, pixel_aspect: float) -> None:
    opening = view.opening(effect.objects).rest
    if opening > 0:
        cutout = view.cutout(effect.objects)
        hidden = looks.covered(cutout.matte.luma, ERASED) if cutout else None
        view.plate.learn(canvas.now, hidden)
        canvas.copies += 1
        if hidden is not None:
            around = blurred(canvas.now, hidden, 0, pixel_aspect)
            canvas.copies += 1
            view.plate.fill(canvas, hidden, around)
    if opening < 1:
        whole = blurred(canvas.now, None, 1, pixel_aspect)
        canvas.copies += 1
        keep = scaled(_all_but(None, canvas.now), opening) if opening > 0 else None
        canvas.put(whole, keep)


def _change(effect: Effect, canvas: Canvas, view: View, space: ColourSpace) -> None:
    """Effects that harm nobody when they fail: without a mask the whole picture stays."""
    cutout = view.cutout(effect.objects)
    if cutout is None and effect.on != "both":
        return
    if effect.name == "spotlight":
        changed = looks.dimmed(canvas.now, effect.strength, space.black)
    else:
        changed = looks.greyed(canvas.now, effect.strength)
    canvas.copies += 1
    if cutout is None or effect.on == "both":
        canvas.put(changed, None)
    else:
        canvas.put(changed, cutout.matte if effect.on == "background" else inverse(cutout.matte))


def _show_matte(effect: Effect, canvas: Canvas, view: View, space: ColourSpace) -> None:
    cutout = view.cutout(effect.objects)
    found = None if cutout is None else cutout.matte
    silhouette = looks.silhouette(found, canvas.now, space.black, space.white)
    canvas.copies += 1
    if effect.name == "alpha":
        canvas.copies += 1
        silhouette = looks.side_by_side(canvas.now, silhouette)
    canvas.put(silhouette, None)
