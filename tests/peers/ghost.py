"""Ghost from npm on SQLite, in development mode; its data in one directory.

The program is built once for all sessions (`ghost_build.py`).
"""

import hmac
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener, urlopen

from tests.peers.ghost_build import TOOLS, CannotBuild, build, built

START_SECONDS = 240.0
POLL_SECONDS = 0.1
OWNER = {"name": "Olive Owner", "email": "owner@ghost.test", "password": "correct-horse-battery-9"}


def missing() -> str | None:
    """Return how to get what is missing, None where nothing is."""
    if built():
        return None
    return (
        "Ghost is not built; with "
        f"{', '.join(TOOLS)} and five minutes: python3 -m tests.peers.install ghost"
    )


def install() -> None:
    """Build Ghost, where that is possible."""
    try:
        build()
    except CannotBuild as problem:
        sys.stderr.write(f"{problem}\n")


@contextmanager
def running(directory: Path) -> Iterator[dict[str, Any]]:
    """Run a Ghost with an empty database in `directory`, and with an integration of its owner."""
    program = built()
    if program is None:
        raise RuntimeError(missing())
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    content = directory / "content"
    shutil.copytree(program / "content", content)
    (directory / "temporary").mkdir()
    with (directory / "ghost.log").open("wb") as log:
        process = subprocess.Popen(
            [shutil.which("node") or "node", "index.js"],
            cwd=program,
            env={**os.environ, **_configuration(content, directory, url, port)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _wait(process, url, directory / "ghost.log")
        yield {"url": url, "database": str(directory / "ghost.db"), **_set_up(url)}
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _configuration(content: Path, directory: Path, url: str, port: int) -> dict[str, str]:
    """Return the variables that Ghost reads its configuration from."""
    return {
        "NODE_ENV": "development",
        # It leaves each picture that it has scaled there.
        "TMPDIR": str(directory / "temporary"),
        "url": url,
        "server__host": "127.0.0.1",
        "server__port": str(port),
        "database__client": "sqlite3",
        "database__connection__filename": str(directory / "ghost.db"),
        "database__useNullAsDefault": "true",
        "paths__contentPath": str(content),
        "logging__level": "warn",
        "logging__transports": '["stdout"]',
        # It is alone: nobody reads mails with codes, and nothing beyond this machine answers.
        "security__staffDeviceVerification": "false",
        "privacy__useUpdateCheck": "false",
        "privacy__useGravatar": "false",
        "privacy__useRpcPing": "false",
        "privacy__useStructuredData": "false",
        "mail__transport": "stub",
    }


def _set_up(url: str) -> dict[str, Any]:
    """Make the owner and an integration, as a person does in the browser."""
    opener = build_opener(HTTPCookieProcessor())
    owner = {**OWNER, "blogTitle": "The Daily Peer"}
    _admin(opener, url, "authentication/setup/", {"setup": [owner]})
    login = {"username": OWNER["email"], "password": OWNER["password"]}
    _admin(opener, url, "session/", login)
    answer = _admin(
        opener, url, "integrations/?include=api_keys", {"integrations": [{"name": "Newsroom"}]}
    )
    keys = {key["type"]: key["secret"] for key in answer["integrations"][0]["api_keys"]}
    return {"admin_api_key": keys["admin"], "content_api_key": keys["content"]}


def _admin(opener: OpenerDirector, url: str, path: str, data: Any) -> Any:
    request = Request(
        f"{url}/ghost/api/admin/{path}",
        json.dumps(data).encode(),
        {"Content-Type": "application/json", "Origin": url, "Accept-Version": "v5.0"},
        method="POST",
    )
    with opener.open(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text.startswith(b"{") else None


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        # It answers 503 until its database is there.
        with suppress(OSError), urlopen(f"{url}/ghost/api/admin/site/", timeout=5):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Ghost did not start:\n{log.read_text()[-2000:]}")
        time.sleep(POLL_SECONDS)


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


@dataclass(frozen=True)
class GhostPeer:
    """A Ghost as tests look at it, past the code under test."""

    url: str
    database: str
    admin_api_key: str
    content_api_key: str

    def admin(self, method: str, path: str, data: Any = None, **query: Any) -> Any:
        """Send a signed request to the Admin API and return its answer.

        Raises:
            HTTPError: the answer is an error.
        """
        address = f"{self.url}/ghost/api/admin/{path}/" + (f"?{urlencode(query)}" if query else "")
        headers = {"Authorization": f"Ghost {self.token()}", "Accept-Version": "v5.0"}
        if data is not None:
            headers["Content-Type"] = "application/json"
        body = None if data is None else json.dumps(data).encode()
        with urlopen(Request(address, body, headers, method=method), timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def posts(self, kind: str = "posts", **query: Any) -> list[Mapping[str, Any]]:
        """Return all posts, or pages, in any state, with their HTML."""
        answer = self.admin("GET", kind, formats="html", limit="all", **query)
        return list(answer[kind])

    def post(self, post_id: str, kind: str = "posts") -> Mapping[str, Any]:
        """Return a post, or page."""
        related = "tags,authors,email,newsletter" if kind == "posts" else "tags,authors"
        answer = self.admin("GET", f"{kind}/{post_id}", formats="html", include=related)
        return dict(answer[kind][0])

    def edit(self, post_id: str, kind: str = "posts", **fields: Any) -> Mapping[str, Any]:
        """Write fields of a post, as an editor of the site does."""
        fields["updated_at"] = self.post(post_id, kind)["updated_at"]
        return dict(self.admin("PUT", f"{kind}/{post_id}", {kind: [fields]})[kind][0])

    def page(self, url: str) -> tuple[int, str]:
        """Return status and text of a public page, as a reader gets it."""
        try:
            with urlopen(url, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def token(self) -> str:
        """Return a signed token, made without the library that the code under test uses."""
        key_id, secret = self.admin_api_key.split(":")
        now = int(time.time())
        head = {"alg": "HS256", "typ": "JWT", "kid": key_id}
        claims = {"iat": now, "exp": now + 300, "aud": "/admin/"}
        text = ".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
        return f"{text}.{_encoded(hmac.digest(bytes.fromhex(secret), text.encode(), 'sha256'))}"


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
