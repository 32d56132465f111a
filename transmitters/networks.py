"""The network addresses that deliveries may go to."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from socket import AI_NUMERICHOST, SOCK_STREAM, getaddrinfo
from typing import Any
from urllib.parse import urlsplit

from apps.core.documents import text_of
from transmitters.base import TransmitSettings

_NAT64 = IPv6Network("64:ff9b::/96")
_UNICAST = IPv6Network("2000::/3")
"""The part of IPv6 that the public internet uses; the rest is for other ends, or for none yet."""
LOCALHOST = "localhost"


def hosts_in(config: Mapping[str, Any], *names: str) -> dict[str, list[str]]:
    """Return the hosts of the addresses (URLs) that a config has under these keys."""
    found = {}
    for name in names:
        with suppress(ValueError):
            if host := urlsplit(text_of(config, name).strip()).hostname:
                found[name] = [host]
    return found


@dataclass(frozen=True)
class AddressGuard:
    """Refuse addresses inside one's own network (private, loopback, link-local and the like).

    Attributes:
        allow_private: refuse nothing.
        networks: private networks that are allowed all the same.
    """

    allow_private: bool
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, settings: TransmitSettings) -> "AddressGuard":
        """Return the guard that the settings describe.

        Raises:
            ValueError: an allowed network is not in CIDR notation.
        """
        return cls(
            settings.allow_private_addresses,
            tuple(map(ip_network, settings.allowed_networks)),
        )

    def allows(self, address: str) -> bool:
        """Whether a connection to this numeric address is allowed."""
        if self.allow_private:
            return True
        ip = _unwrapped(ip_address(address.partition("%")[0]))
        if any(ip in network for network in self.networks):
            return True
        if isinstance(ip, IPv6Address) and ip not in _UNICAST:
            return False
        return ip.is_global and not ip.is_multicast

    def refuses(self, host: str) -> bool:
        """Whether a host is an address that is not allowed, or a name of this machine.

        Nobody is asked for it: other names are checked when they are connected to.

        Args:
            host: in any notation that the system takes for an address, such as `2130706433`.
        """
        host = host.strip().strip("[]").rstrip(".").lower()
        if host == LOCALHOST or host.endswith(f".{LOCALHOST}"):
            return not self.allows("127.0.0.1")
        try:
            found = getaddrinfo(host, 0, type=SOCK_STREAM, flags=AI_NUMERICHOST)
        except (OSError, ValueError):
            return False
        return not all(self.allows(str(address[0])) for *_, address in found)


def _unwrapped(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one stands for, if it does: the packet goes there."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
