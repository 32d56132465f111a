"""A client of the REST API, as an editor's program would have it."""

from base64 import b64encode
from typing import Any

import urllib3

from apps.core import json
from apps.core.errors import ServerError


class API:
    """Requests as one user.

    Args:
        url: address of the API, with its prefix.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = urllib3.PoolManager(timeout=urllib3.Timeout(30), retries=False)
        self._headers = {"Content-Type": "application/json"}
        self.token = ""

    def log_in(self, username: str, password: str) -> None:
        """Open a session; later requests carry its token."""
        session = self.post("auth_db", {"username": username, "password": password})
        self.token = session["token"]
        credentials = b64encode(f"{self.token}:".encode()).decode()
        self._headers["Authorization"] = f"Basic {credentials}"

    def get(self, path: str) -> dict[str, Any]:
        """Return a document or a list."""
        return self._request("GET", path)

    def post(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        """Create a document and return it."""
        return self._request("POST", path, document)

    def patch(self, path: str, etag: str, changes: dict[str, Any]) -> dict[str, Any]:
        """Change a document and return it."""
        return self._request("PATCH", path, changes, {"If-Match": etag})

    def delete(self, path: str, etag: str) -> None:
        """Delete a document."""
        self._request("DELETE", path, headers={"If-Match": etag})

    def _request(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        answer = self._http.request(
            method,
            f"{self._url}/{path}",
            body=json.dumps(body) if body is not None else None,
            headers={**self._headers, **(headers or {})},
        )
        if answer.status >= 400:
            raise ServerError(f"{method} {path} answered {answer.status}: {answer.data.decode()}")
        return dict(json.loads(answer.data or b"{}"))
