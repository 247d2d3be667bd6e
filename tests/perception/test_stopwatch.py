import pytest

from mme2e.perception.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch):
    """A clock that only moves when told."""
    now = [0.0]
    monkeypatch.setattr("mme2e.perception.stopwatch.time.perf_counter", lambda: now[0])

    def move(seconds):
        now[0] += seconds

    return move


def test_each_second_counts_for_the_innermost_stage(clock):
    stopwatch = Stopwatch()
    clock(100)
    with stopwatch.stage("outer"):
        clock(1)
        with stopwatch.stage("inner"):
            clock(10)
        clock(2)
    clock(100)
    with stopwatch.stage("inner"):
        clock(5)
    assert stopwatch.seconds == {"outer": 3, "inner": 15}


def test_making_items_counts_and_using_them_does_not(clock):
    stopwatch = Stopwatch()

    def items():
        for item in range(3):
            clock(1)
            yield item
        clock(1)

    for _ in stopwatch.each("making", items()):
        clock(50)
    assert stopwatch.seconds == {"making": 4}


def test_a_stage_that_fails_still_counts(clock):
    stopwatch = Stopwatch()

    def failing():
        clock(1)
        yield 1
        clock(2)
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        list(stopwatch.each("work", failing()))
    with stopwatch.stage("after"):
        clock(4)
    assert stopwatch.seconds == {"work": 3, "after": 4}
