"""What the effects are told of one picture: where the objects are and whether to believe it."""

from collections.abc import Hashable, Sequence
from typing import cast

import numpy as np

from stream.compose.erase import Plate
from stream.compose.flow import Step
from stream.compose.matte import Logits, Matte, matte, present
from stream.compose.matting import Cutout, Matting, Objects
from stream.compose.planes import Planes
from stream.compose.privacy import OLD, Evidence, Extent, Opening, Privacy
from stream.compose.scene import Layer
from stream.frames import Masks

REFINED = 4
"""Objects that get a refined matte each; more than that are only moved, 3 ms each at 720p."""


class Viewer:
    """The memory of one stream. For every picture: `begin`, `look`, use the View, `end`."""

    def __init__(self) -> None:
        self.matting = Matting()
        self.scene: Sequence[Layer] = ()
        self._plates: dict[Hashable, Plate] = {}
        self._plates_used: set[Hashable] = set()
        self._privacies: dict[Objects, Privacy] = {None: Privacy()}
        self._used: set[Objects] = set()
        self._ids: set[int] = set()

    def look(
        self,
        picture: Planes,
        masks: Masks | None,
        index: int,
        mask_index: int | None,
        age: float,
        time: float,
    ) -> "View":
        """mask_index: of the picture of the masks, if not the one they tell themselves."""
        self.matting.see(picture, index)
        of = index if mask_index is not None or masks is None else masks.index
        if masks is not None and len(masks.object_ids):
            if set(masks.object_ids) - self._ids:
                self.matting.trust()  # one may have stood there before it was chosen
            self._ids = set(masks.object_ids)
            self.matting.learn(masks.logits, of)
        view = View(self, picture, masks, of, age, time)
        view.opening(None)  # always: an effect may come to hide at any moment
        return view

    def judge(self, objects: Objects, evidence: Evidence | None, time: float) -> Opening:
        self._used.add(objects)
        if objects is not None and objects not in self._privacies:
            # Not a fresh one, which would believe the first mask that it is told of.
            self._privacies[objects] = self._privacies[None].of(objects)
        return self._privacies[objects].judge(evidence, time)

    def plate(self, key: Hashable) -> Plate:
        """The background seen under `key`, forgotten as soon as a picture does not ask for it."""
        self._plates_used.add(key)
        return self._plates.setdefault(key, Plate())

    def begin(self, scene: Sequence[Layer]) -> None:
        self.scene = scene

    def end(self) -> None:
        """Forget what was for objects that no effect asked for."""
        self._plates = {key: self._plates[key] for key in self._plates_used}
        self._plates_used = set()
        used = self._used | {None}
        self._privacies = {key: value for key, value in self._privacies.items() if key in used}
        self._used = set()


class View:
    """One picture. Objects None means all of them together."""

    def __init__(
        self,
        viewer: Viewer,
        picture: Planes,
        masks: Masks | None,
        index: int,
        age: float,
        time: float,
    ) -> None:
        self.time = time
        self.source = picture
        self._viewer = viewer
        self._picture = picture
        self._masks = masks
        self._index = index
        self._age = age
        self._reaches = viewer.matting.reaches(index) if masks is not None else False
        self._present = dict(present(masks)) if self._reaches else {}
        self._openings: dict[Objects, Opening] = {}
        self._cutouts: dict[Objects, Cutout | None] = {}

    @property
    def scene(self) -> Sequence[Layer]:
        """All of the effects, the lowest first."""
        return self._viewer.scene

    @property
    def step(self) -> Step | None:
        """From this picture to the one before it."""
        return self._viewer.matting.step

    @property
    def tracked(self) -> tuple[int, ...]:
        """Ids of all objects, those that are hidden for now as well."""
        return () if self._masks is None else self._masks.object_ids

    def plate(self, key: Hashable) -> Plate:
        return self._viewer.plate(key)

    def opening(self, objects: Objects) -> Opening:
        """How far effects that hide may show anything."""
        if objects not in self._openings:
            evidence = self._evidence(objects)
            self._openings[objects] = self._viewer.judge(objects, evidence, self.time)
        return self._openings[objects]

    def ids(self, objects: Objects) -> list[int]:
        """Of those objects, in their order, the ones that are to be seen."""
        return [id for id in self._present if objects is None or id in objects]

    def cutout(self, objects: Objects) -> Cutout | None:
        """Their common matte; None when none of them is to be seen."""
        if objects not in self._cutouts:
            self._cutouts[objects] = self._cut(objects)
        return self._cutouts[objects]

    def drift(self, objects: Objects) -> float:
        """How far they have moved since the picture of their masks (Matting.drift)."""
        together = self._together(objects)
        return 0.0 if together is None else self._viewer.matting.drift(together, self._index)

    def single(self, object_id: int) -> Matte | None:
        """The matte of one object among several."""
        if self.ids(None) == [object_id]:
            found = self.cutout(None)
        elif len(self._present) <= REFINED:
            found = self.cutout((object_id,))
        else:
            logits = self._viewer.matting.moved(self._present[object_id], self._index)
            height, width = self._picture.y.shape
            return None if logits is None else Matte.of(matte(logits, width, height))
        return None if found is None else found.matte

    def _cut(self, objects: Objects) -> Cutout | None:
        together = self._together(objects)
        if together is None:
            return None
        grows = set(self.ids(objects)) == set(self._present)  # else it might grow into another
        # A colour that is the background's too must not uncover a part of what is to be hidden.
        shrinks = not any(
            each.effect.hides and each.effect.on != "background" for each in self.scene
        )
        return self._viewer.matting.cutout(objects, together, self._index, grows, shrinks)

    def _together(self, objects: Objects) -> Logits | None:
        logits = [self._present[id] for id in self.ids(objects)]
        return cast(Logits, np.maximum.reduce(logits)) if logits else None

    def _evidence(self, objects: Objects) -> Evidence | None:
        if self._masks is None:
            return None
        extents = {
            id: _extent(logits)
            for id, logits in zip(self._masks.object_ids, self._masks.logits, strict=True)
            if objects is None or id in objects
        }
        if objects is not None and set(objects) - set(extents):
            return None  # one that is not tracked (any more) cannot be hidden, nor be shown alone
        drift = self.drift(objects) if self._age > OLD else 0.0
        return Evidence(extents, self._index, self._age, self._reaches, drift)


def _extent(logits: Logits) -> Extent:
    inside = logits > 0
    ends = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
    return Extent(float(inside.mean()), any(bool(end.any()) for end in ends))
