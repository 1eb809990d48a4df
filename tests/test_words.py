"""What people call things, and the query that it becomes."""

import pytest

from stream.errors import PromptError
from stream.track.words import LEARNED, SYNONYMS, WORDS, canonical, query


def test_every_word_is_there_once_and_is_its_own_usual_form() -> None:
    assert len(set(WORDS)) == len(WORDS)
    assert [canonical(word) for word in WORDS] == list(WORDS)
    assert set(SYNONYMS) <= set(WORDS)
    assert set(LEARNED) <= set(WORDS)
    assert [query(word, LEARNED) for word in LEARNED] == [WORDS.index(word) for word in LEARNED]


def test_no_synonym_means_two_things() -> None:
    others = [other for group in SYNONYMS.values() for other in group]
    assert len(set(others)) == len(others)
    assert not set(others) & set(WORDS)


@pytest.mark.parametrize(
    "text", ["person", "Person", " the  people ", "a man", "WOMEN", "all persons"]
)
def test_people_say_it_in_many_ways(text: str) -> None:
    assert query(text, WORDS) == WORDS.index("person")


def test_an_unknown_word_is_answered_with_the_known_ones() -> None:
    with pytest.raises(PromptError, match=r"'zeppelin' is not known.*person.*car.*click"):
        query("zeppelin", WORDS)
    with pytest.raises(PromptError, match="not known"):
        query("the", WORDS)


def test_a_word_that_this_network_was_not_taught_is_unknown() -> None:
    with pytest.raises(PromptError, match="Known are: person, cat"):
        query("dog", ("person", "cat"))
    with pytest.raises(PromptError, match="knows no words"):
        query("person", ())
