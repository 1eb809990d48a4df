"""When an effect that hides may show: a picture every 1/30 s, a mask with every third of them."""

import pytest

from stream.compose.privacy import (
    FADE,
    FAR,
    OLD,
    SETTLED,
    SHRUNK_SETTLED,
    Evidence,
    Extent,
    Opening,
    Privacy,
)
from stream.limits import MASK_LATE

ALL, NOTHING = Opening(1, 1), Opening(0, 0)


class Show:
    """Pictures with their masks, one after the other."""

    def __init__(self):
        self.privacy = Privacy()
        self.picture = 0

    def tell(self, *areas, at_border=False, age=0.05, reaches=True, index=None, drift=0.0):
        """The next picture, with masks of its own or of `index`."""
        self.picture += 1
        extents = {number: Extent(area, at_border) for number, area in enumerate(areas)}
        index = self.picture if index is None else index
        return self.privacy.judge(Evidence(extents, index, age, reaches, drift), self.picture / 30)

    def tell_nothing(self):
        self.picture += 1
        return self.privacy.judge(None, self.picture / 30)

    def pictures_until_open(self, *areas, **kind):
        for count in range(1, 100):
            if self.tell(*areas, **kind) == ALL:
                return count
        return None


@pytest.fixture
def show():
    return Show()


FADING = round(FADE * 30)


def test_nothing_was_hidden_before_the_first_mask(show):
    assert show.tell(0.2) == ALL


def test_without_a_mask_all_is_hidden_and_comes_back_by_and_by(show):
    assert show.tell_nothing() == NOTHING
    openings = [show.tell(0.2) for _ in range(FADING + 1)]
    shares = [opening.objects for opening in openings]
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.2
    assert openings[-1] == ALL
    assert show.tell_nothing() == NOTHING, "at once, without a fade"


@pytest.mark.parametrize("doubt", [{"age": MASK_LATE + 0.01}, {"reaches": False}])
def test_late_masks_and_cuts_hide_all(show, doubt):
    show.tell(0.2)
    assert show.tell(0.2, **doubt) == NOTHING
    assert show.tell(0.2, age=MASK_LATE).objects > 0


def test_old_masks_of_what_has_moved_far_hide_all_and_of_what_stands_still_do_not(show):
    show.tell(0.2)
    assert show.tell(0.2, age=OLD + 0.01, drift=FAR) == ALL
    assert show.tell(0.2, age=OLD, drift=1.0) == ALL
    assert show.tell(0.2, age=OLD + 0.01, drift=FAR + 0.01) == NOTHING


def test_masks_once_refused_are_not_believed_again_though_the_object_comes_back(show):
    show.tell(0.2, index=1)
    assert show.tell(0.2, index=1, age=OLD + 0.01, drift=FAR + 0.01) == NOTHING
    assert [show.tell(0.2, index=1, age=0.6) for _ in range(20)] == [NOTHING] * 20
    assert show.pictures_until_open(0.2) is not None


def test_asking_for_no_object_hides_all(show):
    assert show.tell() == NOTHING


def test_sudden_loss_hides_all_until_the_object_is_back(show):
    show.tell(0.2)
    assert show.tell(0.05).rest == 0
    assert show.tell(0.0) == NOTHING
    assert [show.tell(0.0).rest for _ in range(90)] == [0] * 90
    assert show.tell(0.07).rest == 0, "not back as a whole"
    assert show.pictures_until_open(0.19) in range(FADING, FADING + 3)


def test_loss_of_one_of_two_hides_the_rest_but_shows_the_other(show):
    show.tell(0.2, 0.1)
    assert show.tell(0.2, 0.0) == Opening(1, 0)


def test_who_vanishes_at_the_border_as_a_whole_is_lost(show):
    for _ in range(5):
        show.tell(0.3, at_border=True)
    assert show.tell(0.0) == NOTHING


def test_who_walks_out_over_the_border_has_left(show):
    for area in (0.2, 0.2, 0.15, 0.1, 0.06, 0.03):
        assert show.tell(area, at_border=True).rest == 1
    assert show.tell(0.0) == Opening(0, 1)
    assert show.tell(0.0).rest == 1
    assert show.tell(0.1, at_border=True).rest == 1


def test_who_shrinks_in_the_middle_and_vanishes_is_lost(show):
    for area in (0.2, 0.15, 0.1, 0.06, 0.03):
        show.tell(area)
    assert show.tell(0.0) == NOTHING


def test_a_smaller_object_is_believed_after_a_while(show):
    show.tell(0.2)
    assert [show.tell(0.03).rest for _ in range(SHRUNK_SETTLED - 1)] == [0] * (SHRUNK_SETTLED - 1)
    assert show.tell(0.03).rest > 0


def test_a_mask_that_runs_out_into_the_room_hides_all_until_it_has_settled(show):
    show.tell(0.1)
    assert [show.tell(0.6).objects for _ in range(SETTLED - 1)] == [0] * (SETTLED - 1)
    assert show.tell(0.6).objects > 0
    wild = Show()
    wild.tell(0.1)
    assert [wild.tell(area).objects for area in (0.5, 0.8, 0.3, 0.9, 0.4, 0.7)] == [0] * 6


def test_one_mask_counts_once_however_often_it_is_shown(show):
    show.tell(0.1, index=0)
    assert [show.tell(0.6, index=1).objects for _ in range(20)] == [0] * 20


def test_a_new_object_is_no_growth(show):
    show.tell(0.1)
    assert show.tell(0.1, 0.5) == ALL


def test_an_object_that_was_hidden_from_the_start_may_appear(show):
    assert show.tell(0.0) == NOTHING
    assert show.tell(0.4).objects > 0


def test_slow_changes_of_size_are_no_doubt(show):
    area = 0.02
    while area < 0.9:
        assert show.tell(area) == ALL
        area *= 1.2
    while area > 0.001:
        assert show.tell(area) == ALL
        area /= 1.3


def test_times_that_jump_do_not_open_at_once(show):
    show.tell_nothing()
    show.picture += 3000
    assert show.tell(0.2).objects < 0.4
    show.picture -= 2000
    assert show.tell(0.2).objects < 0.4


def test_some_of_the_objects_are_believed_no_more_than_all(show):
    show.tell(0.1, 0.2)
    show.tell(0.6, 0.2)
    some = show.privacy.of((0,))
    grown = Evidence({0: Extent(0.6, False)}, show.picture, 0.05, True)
    assert some.judge(grown, show.picture / 30).objects == 0
    other = show.privacy.of((1,)).judge(
        Evidence({1: Extent(0.2, False)}, show.picture, 0.05, True), show.picture / 30 + 0.05
    )
    assert 0 < other.objects < 0.2, "it fades in, as all would"
    assert show.privacy.judge(grown, show.picture / 30) == Opening(0, 1), "and stays as it was"
