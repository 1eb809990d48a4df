"""A click on a large part of somebody means the whole person, where the network knows the word.

What one click means nobody can say: the sweater, or who wears it. A network as small as the
embedded one answers with something between, which no further click completes. People who click on
somebody mean the person nearly always; a box, or a click that excludes, still gets the part.
"""

from dataclasses import replace

import cv2
import numpy as np

from stream.track.networks.base import FIRST_WORD, HIDDEN_LOGIT, Decoded, Network, Points, Tensor
from stream.track.words import LEAST_SCORES, PERSON, WORDS

LEAST_INSIDE = 0.9
"""Share of the click's mask that lies in the person: of a rider with the horse it does not."""

LEAST_PART = 0.2
"""Share of the person that the click's mask covers: a sweater does; a face, or a cup in a hand, is
meant for itself."""


def whole(
    network: Network, features: Tensor, conditioned: Tensor, click: Points, found: Decoded
) -> Decoded:
    """The person of whom a first click found a large part; else `found`, what it found.

    conditioned: the features of a picture without memories. click: one point.
    """
    if PERSON not in network.spec.words or found.score <= 0:
        return found
    word = np.array([FIRST_WORD + WORDS.index(PERSON)], np.int32)
    (people,) = network.decode(
        [features], [conditioned], Points(np.zeros((1, 2), np.float32), word)
    )
    if people.score <= LEAST_SCORES[PERSON]:
        return found
    part, logits = network.to_array(found.logits) > 0, network.to_array(people.logits)
    x, y = (click.coordinates[0] * len(part) / network.spec.image_size).astype(int)
    _, bodies = cv2.connectedComponents((logits > 0).astype(np.uint8))
    body = bodies == bodies[y, x]
    common = np.count_nonzero(part & body)
    is_part = common >= LEAST_INSIDE * np.count_nonzero(part)
    if not bodies[y, x] or not is_part or common < LEAST_PART * np.count_nonzero(body):
        return found
    alone = np.where(body | (bodies == 0), logits, np.float32(HIDDEN_LOGIT))
    return replace(people, logits=network.to_tensor(alone), full=None)
