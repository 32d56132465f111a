"""Routing rules as clients create them: conditions, filters, products and subscribers."""

from typing import Any

from tests.support.clients import Client

Document = dict[str, Any]

ERROR = "validator exception"
"""Issue of a PATCH that a rule refused."""


class Rules:
    """Creates routing rules through the REST API; each method returns the stored document.

    Args:
        client: has to hold the privileges.
    """

    def __init__(self, client: Client) -> None:
        self.client = client

    def condition(self, name: str, field: str, operator: str, value: str) -> Document:
        """Create a filter condition."""
        body = {"name": name, "field": field, "operator": operator, "value": value}
        return self.client.create("filter_conditions", body)

    def filter(self, name: str, *expressions: Document, **fields: Any) -> Document:
        """Create a content filter with one statement for each expression (`fc`, `pf`)."""
        statements = [{"expression": expression} for expression in expressions]
        return self.client.create(
            "content_filters", {"name": name, "content_filter": statements, **fields}
        )

    def simple_filter(
        self, name: str, field: str, operator: str, value: str, **fields: Any
    ) -> Document:
        """Create a content filter with one condition of the same name."""
        condition = self.condition(name, field, operator, value)
        return self.filter(name, {"fc": [condition["_id"]]}, **fields)

    def product(self, name: str = "everything", **fields: Any) -> Document:
        """Create a product."""
        return self.client.create("products", {"name": name, **fields})

    def subscriber(self, name: str = "News", **fields: Any) -> Document:
        """Create a subscriber."""
        return self.client.create("subscribers", subscriber_body(name, **fields))


def subscriber_body(name: str = "News", **fields: Any) -> Document:
    """Return the body of a POST that creates a subscriber, inactive unless `fields` say so."""
    return {
        "name": name,
        "email": "desk@example.com",
        "subscriber_type": "digital",
        "sequence_num_settings": {"min": 1, "max": 10},
        **fields,
    }


def push_destination(**config: Any) -> Document:
    """Return an HTTP push destination without an `_id`."""
    return {
        "name": "push",
        "format": "ninjs",
        "delivery_type": "http_push",
        "config": {"resource_url": "http://127.0.0.1:9", **config},
    }


def refusal(answer: Any) -> Any:
    """Return why a rule refused a POST or DELETE: its message."""
    body = answer.get_json()
    assert (answer.status_code, body["_status"]) == (400, "ERR"), answer.text
    return body["_message"]


def issues(answer: Any) -> Any:
    """Return the issues of a request that was refused with 400."""
    body = answer.get_json()
    assert (answer.status_code, body["_status"]) == (400, "ERR"), answer.text
    return body["_issues"]
