"""A program that watches an installation: reads metrics and health as Prometheus and proxies do."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from werkzeug.test import TestResponse

TOKEN = "watchers-token"


class Watcher:
    """Asks the web process of an application."""

    def __init__(self, app: Any) -> None:
        self._http = app.test_client()

    def get(self, path: str, **headers: str) -> TestResponse:
        return self._http.get(path, headers=headers)

    def samples(self) -> list[Sample]:
        """Return what is measured now."""
        answer = self.get("/metrics", Authorization=f"Bearer {TOKEN}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        families = text_string_to_metric_families(answer.text)
        return [sample for family in families for sample in family.samples]

    def metrics(self) -> dict[str, float]:
        """Return the same by name and the values of the labels, in the order of their names."""
        return {
            " ".join([sample.name.removeprefix("wiredesk_"), *labels_of(sample)]): sample.value
            for sample in self.samples()
        }

    def destinations(self, metric: str) -> dict[str, float]:
        """Return a metric by the names of subscribers and destinations, and by further labels."""
        ids = ("subscriber", "destination")
        return {
            ", ".join(
                value for name, value in sample.labels.items() if name not in ids
            ): sample.value
            for sample in self.samples()
            if sample.name == f"wiredesk_{metric}"
        }

    def health(self, which: str) -> tuple[int, dict[str, Any]]:
        """Return the status, and what is wrong by part: what is known, and what to do."""
        answer = self.get(f"/health/{which}")
        body = answer.get_json()
        assert body["is_ok"] == (answer.status_code == 200)
        assert all(part["message"] for part in body["parts"])
        assert all(part["is_ok"] == ("next_step" not in part) for part in body["parts"])
        return answer.status_code, {p["name"]: p for p in body["parts"] if not p["is_ok"]}


def labels_of(sample: Sample) -> list[str]:
    """Return the values of its labels, in the order of their names."""
    return [value for _, value in sorted(sample.labels.items())]
