"""COCO JSON: one image a picture, one annotation for each object that is to be seen on it.

Beyond COCO: `track_id` is the object, `timestamp` seconds after the first picture.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from stream.jobs.exports import rle
from stream.jobs.exports.base import TextFile
from stream.jobs.exports.shown import Shown, bounds


class Coco(TextFile):
    """names: what each object is called; objects of one name are one category."""

    def __init__(self, path: Path, names: Mapping[int, str]) -> None:
        super().__init__(path)
        self._names = names
        self._categories = {name: i + 1 for i, name in enumerate(dict.fromkeys(names.values()))}
        self._images: list[str] = []
        self._count = 0
        # Annotations are the bulk and are written as they come; what is short waits.
        self._file.write('{"annotations": [')

    def write(self, shown: Shown) -> None:
        image = {
            "id": shown.index + 1,
            "file_name": f"{shown.index:06d}.jpg",
            "width": shown.picture.width,
            "height": shown.picture.height,
            "frame_index": shown.index,
            "timestamp": round(float(shown.time), 6),
        }
        self._images.append(json.dumps(image))
        for object_id, region in shown.regions.items():
            self._count += 1
            annotation = {
                "id": self._count,
                "image_id": shown.index + 1,
                "category_id": self._categories[self._names[object_id]],
                "track_id": object_id,
                "segmentation": rle.encode(region),
                "area": int(region.sum()),
                "bbox": list(bounds(region)),
                "iscrowd": 0,
                "score": round(shown.score(object_id), 4),
            }
            self._file.write((",\n" if self._count > 1 else "\n") + json.dumps(annotation))

    def finish(self) -> None:
        categories = [{"id": id, "name": name} for name, id in self._categories.items()]
        info = {"description": "segstream", "version": "1.0"}
        self._file.write(f'],\n"images": [{", ".join(self._images)}],\n')
        self._file.write(f'"categories": {json.dumps(categories)}, "info": {json.dumps(info)}}}\n')
        super().finish()
