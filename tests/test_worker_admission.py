import pytest

from stream.errors import Busy
from stream.worker.admission import REMEMBERED, Admission


def test_the_rate_of_all_decides() -> None:
    admission = Admission(min_rate=5)
    for stream in range(4):
        admission.check()
        admission.measured(stream, 0.045)
    with pytest.raises(Busy, match=r"tracked: 4\..* 4\.4 masks a second") as refused:
        admission.check()
    assert refused.value.retry_after > 0
    admission.forget(2)
    admission.check()


def test_a_stream_costs_the_median_of_its_turns() -> None:
    admission = Admission(min_rate=5)
    for seconds in [0.01] * 10 + [3.0] * 3:
        admission.measured(1, seconds)
    assert admission.service_time(1) == 0.01
    admission.check()
    for _ in range(REMEMBERED):
        admission.measured(1, 0.15)
    assert admission.service_time(1) == 0.15
    with pytest.raises(Busy):
        admission.check()


def test_a_new_stream_is_taken_to_cost_what_the_others_do() -> None:
    admission = Admission(min_rate=5)
    for stream, seconds in enumerate([0.02, 0.03, 0.04]):
        admission.measured(stream, seconds)
    admission.check()
    admission.measured(3, 0.09)
    with pytest.raises(Busy):
        admission.check()


def test_where_nothing_is_tracked_there_is_room() -> None:
    admission = Admission(min_rate=5)
    admission.check()
    admission.measured(1, 9.0)
    with pytest.raises(Busy):
        admission.check()
    admission.forget(1)
    admission.check()


def test_no_rate_no_refusal() -> None:
    admission = Admission(min_rate=0)
    admission.measured(1, 10)
    admission.check()
