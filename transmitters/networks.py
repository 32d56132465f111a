"""The network addresses that deliveries may go to."""

from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from transmitters.base import TransmitSettings

_NAT64 = IPv6Network("64:ff9b::/96")


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
            settings.http_allow_private_addresses,
            tuple(ip_network(text) for text in settings.http_allowed_networks),
        )

    def allows(self, address: str) -> bool:
        """Whether a connection to this numeric address is allowed."""
        if self.allow_private:
            return True
        ip = _unwrapped(ip_address(address.partition("%")[0]))
        if any(ip in network for network in self.networks):
            return True
        return ip.is_global and not ip.is_multicast


def _unwrapped(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 one stands for, if it does: the packet goes there."""
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
