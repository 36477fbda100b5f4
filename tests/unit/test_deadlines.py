"""The wheel: nothing expires too soon, nothing later than it says, nothing after it was forgotten."""

import asyncio
from collections.abc import AsyncIterator, Callable
from math import inf
from time import monotonic, process_time

import pytest

from gateway.deadlines import LONGEST_SLEEP, TICK, Deadlines

SLACK = 0.25
"""Seconds that a busy machine may hold up the loop of a test."""


class Watched:
    """Something with a deadline, which notes when it was told."""

    def __init__(self, after: float) -> None:
        self.deadline = monotonic() + after
        self.watched_until = -1.0
        self.told: list[float] = []
        self.then: Callable[[], None] = self._rest

    def _rest(self) -> None:
        self.deadline = inf

    def expired(self) -> None:
        """See Timed."""
        self.told.append(monotonic())
        self.then()


@pytest.fixture
async def wheel() -> AsyncIterator[Deadlines]:
    deadlines = Deadlines()
    deadlines.start()
    yield deadlines
    deadlines.stop()


async def all_told(*things: Watched, times: int = 1) -> None:
    async with asyncio.timeout(10):
        while any(len(thing.told) < times for thing in things):  # noqa: ASYNC110 - time itself is tested
            await asyncio.sleep(TICK / 10)


async def two_turns() -> None:
    """Wait as long as any deadline could still be noticed."""
    await asyncio.sleep(2 * TICK)


async def test_a_deadline_is_noticed_no_sooner_and_at_most_a_tick_later(wheel: Deadlines) -> None:
    things = [Watched(after / 100) for after in range(0, 60, 3)]
    due = {thing: thing.deadline for thing in things}
    for thing in things:
        wheel.watch(thing)
    await all_told(*things)
    late = sorted(thing.told[0] - due[thing] for thing in things)
    assert late[0] >= 0
    assert late[-1] <= TICK + SLACK
    assert late[len(late) // 2] <= TICK


async def test_what_is_due_already_is_noticed_at_the_next_look(wheel: Deadlines) -> None:
    thing = Watched(-5)
    wheel.watch(thing)
    begun = monotonic()
    await all_told(thing)
    assert thing.told[0] - begun <= TICK + SLACK


async def test_a_thing_without_a_deadline_is_never_told(wheel: Deadlines) -> None:
    thing = Watched(inf)
    wheel.watch(thing)
    await asyncio.sleep(LONGEST_SLEEP + 2 * TICK)
    assert thing.told == []


async def test_a_forgotten_thing_is_never_told(wheel: Deadlines) -> None:
    forgotten, other = Watched(0.05), Watched(0.05)
    wheel.watch(forgotten)
    wheel.watch(other)
    wheel.forget(forgotten)
    await all_told(other)
    await two_turns()
    assert forgotten.told == []


async def test_what_was_forgotten_may_be_watched_again(wheel: Deadlines) -> None:
    thing = Watched(0.05)
    wheel.watch(thing)
    wheel.forget(thing)
    wheel.watch(thing)
    await all_told(thing)
    await two_turns()
    assert len(thing.told) == 1


async def test_a_deadline_may_move_away_without_a_word(wheel: Deadlines) -> None:
    thing = Watched(0.05)
    wheel.watch(thing)
    thing.deadline = due = monotonic() + 0.6
    await all_told(thing)
    assert 0 <= thing.told[0] - due <= TICK + SLACK


async def test_a_deadline_that_moves_nearer_is_noticed_in_time_if_it_is_watched_anew(
    wheel: Deadlines,
) -> None:
    thing = Watched(60)
    wheel.watch(thing)
    thing.deadline = due = monotonic() + 0.1
    wheel.watch(thing)
    await all_told(thing)
    assert 0 <= thing.told[0] - due <= TICK + SLACK


async def test_a_deadline_that_moves_nearer_in_silence_is_noticed_within_the_longest_sleep(
    wheel: Deadlines,
) -> None:
    thing = Watched(60)
    wheel.watch(thing)
    thing.deadline = due = monotonic() + 0.1
    await all_told(thing)
    assert 0 <= thing.told[0] - due <= LONGEST_SLEEP + TICK + SLACK


async def test_watching_twice_tells_once(wheel: Deadlines) -> None:
    thing = Watched(0.05)
    for _ in range(50):
        wheel.watch(thing)
    await all_told(thing)
    await two_turns()
    assert len(thing.told) == 1


async def test_who_sets_a_later_deadline_when_told_is_told_again_then(wheel: Deadlines) -> None:
    thing = Watched(0.02)

    def later() -> None:
        thing.deadline = monotonic() + 0.15

    thing.then = later
    wheel.watch(thing)
    await all_told(thing, times=3)
    gaps = [after - before for before, after in zip(thing.told, thing.told[1:], strict=False)]
    assert min(gaps) >= 0.15


async def test_one_may_forget_itself_or_another_when_told(wheel: Deadlines) -> None:
    first, second = Watched(0.05), Watched(0.05)
    second.deadline = first.deadline

    def both() -> None:
        wheel.forget(first)
        wheel.forget(second)

    first.then = second.then = both
    wheel.watch(first)
    wheel.watch(second)
    await all_told(first)
    await two_turns()
    assert (len(first.told), len(second.told)) == (1, 0)


async def test_deadlines_missed_while_the_loop_was_held_up_are_all_noticed_after(wheel: Deadlines) -> None:
    things = [Watched(after / 100) for after in range(0, 50, 5)]
    for thing in things:
        wheel.watch(thing)
    until = monotonic() + 0.7
    while monotonic() < until:
        pass
    await all_told(*things)
    assert all(len(thing.told) == 1 for thing in things)


async def test_a_wheel_that_was_stopped_tells_nothing() -> None:
    deadlines = Deadlines()
    deadlines.start()
    thing = Watched(0.02)
    deadlines.watch(thing)
    deadlines.stop()
    await asyncio.sleep(3 * TICK)
    assert thing.told == []


async def test_what_was_watched_before_the_start_is_told_after_it() -> None:
    deadlines = Deadlines()
    thing = Watched(0.0)
    deadlines.watch(thing)
    await two_turns()
    deadlines.start()
    await all_told(thing)
    deadlines.stop()


async def test_ten_thousand_things_at_rest_cost_next_to_nothing(wheel: Deadlines) -> None:
    things = [Watched(inf) for _ in range(10_000)]
    for thing in things:
        wheel.watch(thing)
    begun = process_time()
    await asyncio.sleep(LONGEST_SLEEP * 1.5)
    assert process_time() - begun < 0.3
    assert not any(thing.told for thing in things)


async def test_a_thing_that_is_moved_a_thousand_times_leaves_nothing_behind(wheel: Deadlines) -> None:
    thing = Watched(inf)
    for _ in range(1000):
        wheel.watch(thing)
    wheel.forget(thing)
    await asyncio.sleep(LONGEST_SLEEP + 2 * TICK)
    assert not any(wheel._slots.values())
