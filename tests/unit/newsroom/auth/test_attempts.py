"""Whose failures are counted together."""

import pytest

from apps.newsroom.auth.attempts import network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix:", "unix:"),
        ("not an address", "not an address"),
    ],
)
def test_network_of(address: str, network: str) -> None:
    """One of IPv4 is an address, one of IPv6 the network that a user has."""
    assert network == network_of(address)
