"""Objects asked for by a word, and the person that is found without being asked for."""

import pytest
from measure import change, detail, tint

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CHEST = (0.45, 0.46)
TOP_CORNERS = ((0.05, 0.05), (0.95, 0.05))
PERSON = (0.36, 0.44, 0.56, 0.56)
BOARD = (0.74, 0.1, 1.0, 0.7)


def test_a_word_finds_the_person_and_an_unknown_one_is_answered_with_those_known(
    open_screen, webcam
):
    screen = open_screen(webcam)
    assert not screen.page.locator("#word").is_visible()
    screen.start()
    page = screen.page
    page.fill("#word", "the man")
    page.keyboard.press("Enter")
    (person,) = screen.wait_objects(1)
    assert page.locator(f"[data-object='{person}'] .name").inner_text() == f"{person}: person"
    assert page.input_value("#word") == ""
    colour = screen.colour(person)
    screen.holds(
        lambda output, source: (
            tint(output, source, CHEST, colour) > 0.25
            and all(change(output, source, corner) < 8 for corner in TOP_CORNERS)
        )
    )
    screen.save("word")

    page.fill("#word", "zeppelin")
    page.click("#words-form button")
    toast = page.locator(".toast").first
    toast.wait_for()
    assert "person" in toast.inner_text()
    assert screen.objects() == [person]


def test_a_hidden_background_needs_no_click(open_screen, webcam):
    screen = open_screen(webcam)
    screen.start()
    screen.page.get_by_text("Blur background").click()
    screen.page.locator("#strength").fill("1")
    screen.wait_objects(1)
    screen.holds(
        lambda output, source: (
            detail(output, PERSON) > 0.6 * detail(source, PERSON)
            and detail(output, BOARD) < 0.3 * detail(source, BOARD)
        )
    )
    screen.save("no-click")
