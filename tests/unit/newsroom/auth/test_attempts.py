"""Whose failures are counted together, and how a process counts for itself."""

import pytest

from apps.newsroom.auth.attempts import LOCAL_COUNTS, LocalCounts, network_of


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


class TestLocalCounts:
    def test_doubles_the_wait_beyond_the_limit(self) -> None:
        counts = LocalCounts(60, lambda: 0.0)

        counted = [counts.count("foo", 2) for _ in range(10)]
        assert [(0, 0)] * 2 == counted[:2]
        assert [(1, 0), (2, 1), (4, 1), (8, 1), (16, 1), (32, 1), (60, 1), (60, 1)] == counted[2:]

    def test_lets_one_be_checked_when_the_wait_is_over(self) -> None:
        now = [0.0]
        counts = LocalCounts(60, lambda: now[0])
        for _ in range(3):
            counts.count("foo", 2)
        now[0] = 1.0

        assert [(2, 0), (4, 1)] == [counts.count("foo", 2) for _ in range(2)]

    def test_forgets(self) -> None:
        """After the right password, and with time."""
        now = [0.0]
        counts = LocalCounts(60, lambda: now[0])
        for name in ("foo", "bar"):
            counts.count(name, 2)
        counts.forget("foo")
        counts.forget("nobody")

        assert [0, 1] == [counts.failures(name) for name in ("foo", "bar")]
        now[0] = 61.0
        assert 0 == counts.failures("bar")

    def test_has_a_limit(self) -> None:
        """Who tries many names fills no memory."""
        counts = LocalCounts(60, lambda: 0.0)
        for number in range(LOCAL_COUNTS + 1):
            counts.count(str(number), 2)

        assert [0, 1] == [counts.failures(name) for name in ("0", str(LOCAL_COUNTS))]
