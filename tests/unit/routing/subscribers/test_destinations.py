"""What is wrong with destinations."""

from apps.routing.subscribers.destinations import unstorable


def test_what_cannot_be_stored_is_named_by_position() -> None:
    """Only those with a fault are named."""
    whole = {"name": "a", "format": "b", "delivery_type": "c"}

    assert unstorable([whole, {"name": "a"}]) == {
        "1": {"format": {"required": 1}, "delivery_type": {"required": 1}}
    }
    assert unstorable([whole]) == {}


def test_addresses_of_previews_hold_no_credentials() -> None:
    """Browsers refuse them, and everybody sees the address."""
    whole = {"name": "a", "format": "b", "delivery_type": "c"}
    addresses = ["https://a:b@example.com/p", "https://example.com/p?to=a@b", None]

    found = unstorable([{**whole, "preview_endpoint_url": address} for address in addresses])

    assert found == {"0": {"preview_endpoint_url": "credentials not allowed"}}
