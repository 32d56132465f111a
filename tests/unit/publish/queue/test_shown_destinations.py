"""What rows of the delivery queue show of a destination."""

from apps.routing.subscribers.stored_destinations import destination_id, shown_destination


def test_shows_nothing_secret() -> None:
    """Well-known keys, credentials of addresses, and whatever a plug-in keeps encrypted."""
    config = {
        "resource_url": "https://user:word@example.com/push",
        "resource_url_userinfo": "enc:v1:a",
        "secret_token": "plain",
        "pass_phrase": "enc:v1:b",
        "packaged": True,
    }
    shown = shown_destination({"_id": "d", "name": "push", "config": config})

    assert shown["config"] == {"resource_url": "https://example.com/push", "packaged": True}


def test_a_new_key_of_secrets_makes_no_new_lane() -> None:
    """A destination without an id goes by what it shows, which does not change with encryption."""
    first, second = (
        {
            "name": "push",
            "format": "ninjs",
            "config": {"host": "h", "pass_phrase": f"enc:v1:{text}"},
        }
        for text in "ab"
    )

    assert destination_id(first) == destination_id(second)
