"""A process keeps the transmitters that it used last, and closes the others."""

from dataclasses import replace
from typing import Any

import pytest

import settings as settings_module
from apps.core.registry import Registry
from apps.publish.transmit import destinations
from apps.publish.transmit.destinations import TransmitterPool, transmit_settings
from transmitters.base import Delivery, Destination, Mode, Receipt, Transmitter

HERE = Destination(id="d", name="Desk", type="noting", format="ninjs", config={"path": "/a"})


class Noting(Transmitter):
    """Notes that it was closed."""

    type = "noting"
    name = "Noting"
    fields = ()
    mode = Mode.APPEND
    errors: Any = {}
    is_open = True

    def send(self, delivery: Delivery) -> Receipt:
        return Receipt()

    def close(self) -> None:
        self.is_open = False


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> TransmitterPool:
    """Return a pool of two."""
    monkeypatch.setattr(destinations, "KEPT", 2)
    registry = Registry("transmitter", Transmitter)
    registry.add(Noting)
    return TransmitterPool(registry, transmit_settings(settings_module.load(environ={})))


def test_those_not_used_for_longest_are_closed(pool: TransmitterPool) -> None:
    """A lane that delivers keeps its connection, however many other lanes there are."""
    first, second = pool.get("a", HERE), pool.get("b", HERE)
    assert pool.get("a", HERE) is first

    third = pool.get("c", HERE)
    assert [one.is_open for one in (first, second, third)] == [True, False, True]
    assert pool.get("b", HERE) is not second


def test_another_configuration_gets_another_transmitter(pool: TransmitterPool) -> None:
    """A connection is not used for an address that it was not made for."""
    moved = replace(HERE, config={"path": "/b"})
    assert pool.get("a", moved) is not pool.get("a", HERE)


def test_closing_closes_all(pool: TransmitterPool) -> None:
    """What is asked for afterwards is made anew."""
    both = [pool.get(lane, HERE) for lane in "ab"]
    pool.close()
    assert [one.is_open for one in both] == [False, False]
    assert pool.get("a", HERE) is not both[0]
