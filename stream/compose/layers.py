"""Each effect on the picture. Whatever hides asks first whether it may show anything."""

import itertools
from collections.abc import Hashable, Sequence

import av

from stream.compose import looks, overlay, spill
from stream.compose.blur import blurred
from stream.compose.canvas import Canvas, inverse, scaled
from stream.compose.colour_space import ColourSpace
from stream.compose.effects import GREEN, Effect
from stream.compose.matte import Matte
from stream.compose.matting import Objects
from stream.compose.palette import colour
from stream.compose.planes import Planes
from stream.compose.privacy import FAR
from stream.compose.scene import Layer
from stream.compose.view import View

MARGIN = 0.006
"""How far beyond its edge an object is hidden, as a share of the picture's longer side: 8 pixels of
720p, more than the matte is off."""

ERASED = 0.012
"""The same for one that is erased: what is left of it at the border is seen at once against what
was behind it, so all that the matte is in doubt of is taken with it."""

PAINT = {"overlay": overlay.tint, "contour": overlay.contour, "glow": overlay.glow}

CHANGES = frozenset({"overlay", "spotlight", "desaturate"})
"""Effects that go by each pixel alone."""


def draw(
    layer: Layer, canvas: Canvas, view: View, picture: av.VideoFrame, pixel_aspect: float
) -> None:
    """Put one effect on the canvas. picture: the source, for its colour tags."""
    effect = layer.effect
    space = ColourSpace.of(picture)
    if effect.name == "none":
        return
    if effect.name in PAINT and effect.on == "object":
        for id in view.ids(effect.objects):
            found = view.single(id)
            if found is not None and found.luma.any():
                codes = space.codes(effect.colour or colour(id))
                PAINT[effect.name](canvas.own(), found.luma, codes, effect.strength)
    elif effect.name in ("mask", "alpha"):
        _show_matte(effect, canvas, view, space)
    elif effect.name in CHANGES:
        _change(effect, canvas, view, space)
    elif effect.on == "background":
        _hide_background(layer, canvas, view, space, pixel_aspect)
    elif effect.name == "erase":
        _erase(layer, canvas, view, space, pixel_aspect)
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
        spill.remove(canvas.now, keep, cutout.contrast, space)


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


def _erase(
    layer: Layer, canvas: Canvas, view: View, space: ColourSpace, pixel_aspect: float
) -> None:
    opening = view.opening(layer.effect.objects).rest
    below = list(itertools.takewhile(lambda other: other is not layer, view.scene))
    plate = view.plate(_plate_key(layer, below, view))
    erased, objects = (_covered(view, ids) for ids in (layer.effect.objects, None))
    plate.follow(view.step, objects)
    if opening > 0:
        is_source = not any(each.effect.hides for each in below)
        # No object at all is ever remembered as what is behind: another effect may hide it.
        plate.learn(view.source if is_source else canvas.now, objects)
        canvas.copies += 1
        if erased is not None:
            behind = plate.behind()
            canvas.copies += 1
            for each in below if is_source else ():
                if each.effect.name in CHANGES and each.effect.on != "object":
                    behind = _changed(each.effect, behind, space)
                    canvas.copies += 1
            canvas.put(behind, inverse(erased))
    if opening < 1:
        whole = blurred(canvas.now, None, 1, pixel_aspect)
        canvas.copies += 1
        keep = scaled(_all_but(None, canvas.now), opening) if opening > 0 else None
        canvas.put(whole, keep)


def _covered(view: View, objects: Objects) -> Matte | None:
    cutout = view.cutout(objects)
    if cutout is None:
        return None
    # What moved since the mask was made may be off by a part of its way, and would be remembered.
    doubt = min(view.drift(objects), FAR) / 2
    return looks.covered(cutout.matte.luma, ERASED + doubt)


def _plate_key(layer: Layer, below: Sequence[Layer], view: View) -> Hashable:
    """What was seen under one key may be shown under it. A slider does not change it; what more is
    hidden does, for it must not be shown as it was seen before, and what is below and hides, for
    it was drawn then."""
    others = [each.effect for each in view.scene if each is not layer and each.effect.hides]
    hidden = tuple((each.name, each.on, each.objects) for each in others)
    drawn = tuple(each.effect for each in below) if any(e.effect.hides for e in below) else ()
    return layer.effect.objects, hidden, drawn, view.tracked if others else ()


def _change(effect: Effect, canvas: Canvas, view: View, space: ColourSpace) -> None:
    """Effects that harm nobody when they fail: without a mask the whole picture stays."""
    cutout = view.cutout(effect.objects)
    if cutout is None and effect.on != "both":
        return
    changed = _changed(effect, canvas.now, space)
    canvas.copies += 1
    if cutout is None or effect.on == "both":
        canvas.put(changed, None)
    else:
        canvas.put(changed, cutout.matte if effect.on == "background" else inverse(cutout.matte))


def _changed(effect: Effect, picture: Planes, space: ColourSpace) -> Planes:
    if effect.name == "overlay":
        return looks.tinted(picture, effect.strength, space.codes(effect.colour or GREEN))
    if effect.name == "spotlight":
        return looks.dimmed(picture, effect.strength, space.black)
    return looks.greyed(picture, effect.strength)


def _show_matte(effect: Effect, canvas: Canvas, view: View, space: ColourSpace) -> None:
    cutout = view.cutout(effect.objects)
    found = None if cutout is None else cutout.matte
    silhouette = looks.silhouette(found, canvas.now, space.black, space.white)
    canvas.copies += 1
    if effect.name == "alpha":
        canvas.copies += 1
        silhouette = looks.side_by_side(canvas.now, silhouette)
    canvas.put(silhouette, None)
