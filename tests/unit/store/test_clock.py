"""The clock that the processes of an installation share (delivery contract X10)."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from apps.store.clock import StoreClock
from tests.support.newsdesk import START, HandClock


class Machine:
    """A machine whose clock somebody sets, beside a store."""

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self.wall = HandClock(START + ahead)
        self.store = HandClock()
        self.seconds = 0.0
        self.clock = StoreClock(self.wall, lambda: self.seconds)

    def pass_time(self, seconds: float) -> None:
        self.seconds += seconds
        for clock in (self.wall, self.store):
            clock.advance(seconds=seconds)

    def look_out(self, took: float = 0.0, *, awaited: bool = True, **reply: Any) -> None:
        """Let the driver hear from the store, after `took` seconds."""
        shown = {"localTime": self.store.precise().replace(tzinfo=None), **reply}
        self.pass_time(took)
        hello = SimpleNamespace(is_writable=reply.get("is_writable", True), document=shown)
        event = SimpleNamespace(reply=hello, duration=took, awaited=awaited)
        self.clock.succeeded(cast(Any, event))

    @property
    def off(self) -> timedelta:
        return self.clock.precise() - self.store.precise()


def test_shows_the_machines_time_until_the_store_has_told_its_own() -> None:
    machine = Machine(timedelta(hours=1))

    before = machine.off
    machine.look_out(awaited=False)

    assert (before, machine.off) == (timedelta(hours=1), timedelta())


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=400)])
def test_does_not_follow_a_machine_whose_clock_is_set(jump: timedelta) -> None:
    machine = Machine()
    machine.look_out(awaited=False)

    machine.wall.at += jump
    machine.pass_time(30)

    assert machine.off == timedelta()


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)])
def test_follows_the_store_when_it_says_so_twice(jump: timedelta) -> None:
    """Each look-out waits for up to ten seconds, so what it tells is as old as that."""
    machine = Machine()
    machine.look_out(awaited=False)
    machine.look_out(10)
    machine.store.at += jump

    machine.look_out(10)
    once = machine.off
    machine.look_out(10)

    assert abs(once) == timedelta(hours=1)
    assert abs(machine.off) <= timedelta(seconds=11)


def test_takes_no_old_time_from_a_server_that_ends() -> None:
    machine = Machine()
    machine.look_out(awaited=False)
    machine.pass_time(3600)

    machine.look_out(2, localTime=START.replace(tzinfo=None))
    machine.look_out(awaited=False)

    assert machine.off == timedelta()


def test_small_differences_and_slow_answers_change_nothing() -> None:
    """A time that goes back by milliseconds would be worse than one that is off by them."""
    machine = Machine()
    machine.look_out(awaited=False)
    machine.store.at += timedelta(milliseconds=700)

    machine.look_out(9)
    machine.look_out(awaited=False)

    assert machine.off == timedelta(milliseconds=-700)


@pytest.mark.parametrize("reply", [{"localTime": None}, {"localTime": 5}, {"is_writable": False}])
def test_goes_by_the_server_that_writes_go_to(reply: Any) -> None:
    machine = Machine(timedelta(hours=1))

    machine.look_out(awaited=False, **reply)

    assert machine.off == timedelta(hours=1)


def test_has_milliseconds_as_the_store_has() -> None:
    wall = HandClock(datetime(2028, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC))
    clock = StoreClock(wall)

    assert clock.precise() == wall.at.replace(microsecond=999_000)
    assert clock.now() == wall.at.replace(microsecond=0)
