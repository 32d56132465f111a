"""Which addresses deliveries may go to."""

import pytest

from tests.support.deliveries import build_settings
from transmitters.networks import AddressGuard


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "::127.0.0.1",
        "fec0::1",
        "64:ff9b:1::a00:1",
        "2001:0:7f00:1::",
        "5f00::1",
        "240.0.0.1",
    ],
)
def test_own_network_is_refused(address: str) -> None:
    """Addresses of one's own network are refused, in every notation that leads there.

    Delivery contract G1.
    """
    assert not AddressGuard(allow_private=False).allows(address)
    assert AddressGuard(allow_private=True).allows(address)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f::1", "::ffff:93.184.215.14"])
def test_public_addresses_are_allowed(address: str) -> None:
    """Addresses of the public internet are allowed."""
    assert AddressGuard(allow_private=False).allows(address)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("10.2.0.1", False),
        ("fd00::5", True),
        ("127.0.0.1", False),
    ],
)
def test_allowed_networks(address: str, allowed: bool) -> None:
    """Networks on the list are allowed, and only those."""
    settings = build_settings(
        allow_private_addresses=False, allowed_networks=("10.1.0.0/16", "fd00::/8")
    )

    assert AddressGuard.of(settings).allows(address) is allowed


def test_bad_network() -> None:
    """A network that is not in CIDR notation is an error when the guard is built."""
    with pytest.raises(ValueError):
        AddressGuard.of(build_settings(allowed_networks=("10.1.2.3/16",)))


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "2130706433", "017700000001", "0x7f000001", "127.1", "0", "0x7f.1"),
        *("[::1]", "::ffff:127.0.0.1", "::", "fe80::1%lo", "10.0.0.1.", "169.254.169.254"),
        *("localhost", "LOCALHOST.", "desk.localhost"),
    ],
)
def test_hosts_that_need_no_look_up(host: str) -> None:
    """An address is known for what it is in every notation, and so is this machine."""
    assert AddressGuard(allow_private=False).refuses(host)
    assert not AddressGuard(allow_private=True).refuses(host)


@pytest.mark.parametrize(
    "host", ["news.example", "93.184.215.14", "", "a b", "x" * 300, "a\0b", "\ud800", "\u0130"]
)
def test_other_hosts_are_left_to_the_connection(host: str) -> None:
    """Names are looked up when they are connected to; until then nothing is known of them."""
    assert not AddressGuard(allow_private=False).refuses(host)
