"""When a loss has left for good."""

from __future__ import annotations

import pytest

from cspdet.train.course import Course


def follow(course: Course, losses: list[float], iteration: int = 1000, burn_in: int = 0) -> Course:
    for loss in losses:
        course.follow(loss, iteration, burn_in)
    return course


def test_the_average_moves_by_a_tenth() -> None:
    assert follow(Course(), [8]).average_loss == 8
    assert follow(Course(), [8, 18]).average_loss == pytest.approx(9)


def test_a_loss_has_diverged_after_a_hundred_steps_far_above_the_lowest() -> None:
    course = follow(Course(), [1.0] * 10)
    follow(course, [1000.0] * 99)
    assert not course.diverged
    assert follow(course, [1000.0]).diverged


def test_a_loss_that_comes_back_has_not_diverged() -> None:
    course = follow(Course(), [1.0] * 10 + [1000.0] * 90 + [1.0] * 60)
    assert course.above == 0
    assert not follow(course, [1000.0] * 90).diverged


@pytest.mark.parametrize(("iteration", "burn_in"), [(99, 0), (1000, 1000)])
def test_the_beginning_is_not_watched(iteration: int, burn_in: int) -> None:
    assert not follow(Course(), [1.0] * 10 + [1000.0] * 200, iteration, burn_in).diverged
    assert follow(Course(), [1.0] * 10 + [1000.0] * 200, iteration + 1, burn_in).diverged
