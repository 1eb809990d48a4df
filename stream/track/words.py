"""Words that a network was taught: which there are, and what people call them.

A word is a prompt like a click: the network has a learned query for each. It means all that the
word names in the picture together: "person" is everybody.
"""

from collections.abc import Sequence

from stream.errors import PromptError
from stream.limits import MAX_WORD

WORDS = (
    "object", "person", "face", "hair", "skin", "shoes", "bag", "pants", "dress", "coat", "shirt",
    "skirt", "sweater", "suit", "hat", "glasses", "belt", "scarf", "socks", "shorts", "tie",
    "cat", "dog", "horse", "cow", "elephant", "bear", "tiger", "turtle", "monkey", "otter", "deer",
    "fish", "flower", "plant", "car", "wheel", "truck", "bus", "motorcycle", "bicycle", "bottle",
    "cup", "bowl", "plate", "wine glass", "knife", "fork", "spoon", "chair", "couch", "bed",
    "table", "tv", "laptop", "keyboard", "mouse", "phone", "book", "clock", "sink", "oven",
    "toilet", "refrigerator", "umbrella", "ball", "bench", "vase", "pizza", "banana",
)  # fmt: skip
"""What the embedded model is taught, in the order of its queries: at the end new ones may be
added. "object" is whatever stands out."""

LEARNED = (
    "person", "object", "face", "horse", "car", "flower", "fish", "plate", "cat", "shoes", "bottle",
    "pants", "bear", "wheel",
)  # fmt: skip
"""Those that its present weights find well enough to be offered (docs/model.md)."""

LEAST_SCORES = {"person": 2.0, "face": 1.0, "car": 0.5}
"""Word -> object score (a logit) that what it names must exceed to be marked; of others 0. Chosen
for these weights on validation pictures (docs/model.md): it leaves those empty that show no such
thing, and loses hardly any that do."""

PERSON = "person"

SYNONYMS = {
    PERSON: (
        "people", "persons", "human", "humans", "man", "men", "woman", "women", "boy", "girl",
        "child", "children", "kid", "kids", "guy", "lady", "pedestrian", "me", "myself", "body",
        "everybody", "everyone", "speaker",
    ),
    "object": ("thing", "salient object", "foreground", "anything", "subject"),
    "shoes": ("shoe", "boots", "boot", "sandals", "heels", "loafers", "sneakers", "footwear"),
    "bag": ("purse", "handbag", "backpack", "bags", "rucksack"),
    "pants": ("jeans", "trousers", "leggings", "trouser"),
    "coat": ("jacket", "blazer", "cape", "vest", "cardigan"),
    "shirt": ("t-shirt", "tshirt", "tee", "blouse", "top"),
    "sweater": ("jumper", "sweatshirt", "pullover", "hoodie"),
    "dress": ("gown", "romper"),
    "hat": ("cap", "beanie"),
    "glasses": ("sunglasses", "spectacles", "eyeglasses"),
    "socks": ("stockings", "tights", "sock"),
    "cat": ("cats", "kitten", "kitty"),
    "dog": ("dogs", "puppy", "hound"),
    "horse": ("horses", "pony"),
    "cow": ("cows", "cattle", "bull"),
    "monkey": ("rhesus monkey", "monkeys", "ape"),
    "flower": ("flowers", "blossom"),
    "plant": ("potted plant", "houseplant"),
    "car": ("cars", "automobile", "vehicle", "auto"),
    "wheel": ("car wheel", "wheels", "tyre", "tire"),
    "truck": ("lorry", "trucks"),
    "motorcycle": ("motorbike", "moto", "scooter"),
    "bicycle": ("bike", "bicycles", "cycle"),
    "bottle": ("bottles", "flask"),
    "cup": ("mug", "mugs", "cups", "teacup"),
    "plate": ("dish", "saucer"),
    "wine glass": ("glass", "goblet"),
    "couch": ("sofa", "settee"),
    "table": ("dining table", "desk"),
    "tv": ("television", "monitor", "screen"),
    "laptop": ("notebook", "computer"),
    "phone": ("cell phone", "mobile", "smartphone", "telephone"),
    "refrigerator": ("fridge",),
    "oven": ("stove",),
    "ball": ("sports ball", "football"),
}  # fmt: skip
"""Word -> what else people say for it."""

_CANONICAL = {other: word for word, others in SYNONYMS.items() for other in others}

ARTICLES = ("the", "a", "an", "my", "all")


def canonical(text: str) -> str:
    """A word's usual form: lower case, no article, the synonym that `SYNONYMS` knows."""
    parts = text.lower().split()
    while len(parts) > 1 and parts[0] in ARTICLES:
        del parts[0]
    word = " ".join(parts)
    return _CANONICAL.get(word, word)


DETECTOR = (
    "any phrase needs a detector: pip install 'segstream[text]' and set text_model "
    "(SEGSTREAM_TEXT_MODEL, --text-model)"
)


def query(text: str, known: Sequence[str]) -> int:
    """The number of the word's query, its place in WORDS.

    known: the words that a network offers. Raises PromptError that lists them.
    """
    return WORDS.index(resolve(text, known))


def resolve(text: str, known: Sequence[str], phrases: bool = False) -> str:
    """What is to be looked for: one of the words in `known`, or the phrase that a detector gets.

    phrases: there is one. Raises PromptError that lists the words.
    """
    word = canonical(text)
    if word in known:
        return word
    if phrases:
        return phrase(text)
    if not known:
        raise PromptError(
            "this model knows no words: point at the object or draw a box, or use model nano; "
            + DETECTOR
        )
    raise PromptError(
        f"the word {text.strip()[:60]!r} is not known. Known are: {', '.join(known)}. "
        f"For anything else click on it or draw a box; {DETECTOR}"
    )


def phrase(text: str) -> str:
    """In the form that a detector is asked in: lower case, one line, no full stops, which would
    separate phrases. Raises PromptError."""
    cleaned = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    cleaned = " ".join(cleaned.replace(".", " ").lower().split())
    if not 0 < len(cleaned) <= MAX_WORD or not any(map(str.isalnum, cleaned)):
        raise PromptError(
            f"the phrase {text.strip()[:60]!r} cannot be looked for; "
            f"wanted words, at most {MAX_WORD} characters"
        )
    return cleaned
