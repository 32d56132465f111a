"""The peers themselves, and what the proxy in front of them does."""

import json
import os
import subprocess
import sys
from http.client import HTTPConnection, HTTPException, IncompleteRead
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest

from apps.demo import wordpress
from tests.peers.proxy import Fault, Proxy, Reply
from tests.peers.shared import ROOT, Peers, shared_peer
from tests.peers.wordpress import WordPressPeer, missing
from tests.support.processes import wait_until
from tests.support.receivers import HTTPReceiver


def get(proxy: Proxy, path: str = "/a", method: str = "GET") -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", proxy.port, timeout=20)
    try:
        return ask(connection, path, method)
    finally:
        connection.close()


def ask(connection: HTTPConnection, path: str = "/a", method: str = "GET") -> tuple[int, bytes]:
    connection.request(method, path, headers={"X-Lost": "1"})
    answer = connection.getresponse()
    return answer.status, answer.read()


class TestProxy:
    """Against a receiver that answers everything."""

    def test_requests_are_forwarded_and_counted(self) -> None:
        """With headers that are added or lost on the way."""
        with HTTPReceiver([(201, {"X-Peer": "yes"}, b"made")]) as peer:
            with Proxy(peer.url, add={"X-Mode": "plain"}, drop=("X-Lost",)) as proxy:
                assert get(proxy, "/posts?slug=a%20b", "POST") == (201, b"made")
            (seen,) = peer.requests
        assert (seen.path, seen.headers["x-mode"]) == ("/posts?slug=a%20b", "plain")
        assert "x-lost" not in seen.headers
        assert proxy.count("POST", "slug=a b$") == proxy.writes == 1
        assert proxy.requests[0].status == 201

    @pytest.mark.parametrize(
        ("fault", "error", "arrived"),
        [
            (Fault.LOSE_REQUEST, ConnectionError, 0),
            (Fault.LOSE_ANSWER, ConnectionError, 1),
            (Fault.CUT_ANSWER, IncompleteRead, 1),
        ],
    )
    def test_answers_get_lost(self, fault: Fault, error: type[Exception], arrived: int) -> None:
        """Before or after the work was done, once, and then no more."""
        with HTTPReceiver() as peer, Proxy(peer.url) as proxy:
            peer.answer(lambda _: (200, {}, b"body"))
            rule = proxy.rule(fault, times=1)
            with pytest.raises(error):
                get(proxy)
            assert (len(peer.requests), rule.happened) == (arrived, 1)
            assert get(proxy) == (200, b"body")

    def test_every_third_answer(self) -> None:
        """Rules count the requests that they are about."""
        with HTTPReceiver() as peer, Proxy(peer.url) as proxy:
            proxy.rule(Reply(502, b"no", work_done=True), method="GET", target="^/b", every=3)
            found = [get(proxy, path)[0] for path in ("/b", "/a", "/b", "/b", "/b")]
            assert (found, len(peer.requests)) == ([200, 200, 200, 502, 200], 5)

    def test_answers_that_come_too_late_or_for_two(self) -> None:
        """A held answer comes after it was released; a repeated request arrives twice."""
        with HTTPReceiver() as peer, Proxy(peer.url) as proxy:
            proxy.rule(Fault.REPEAT_REQUEST, times=1)
            get(proxy)
            assert (len(peer.requests), proxy.count()) == (2, 2)
            proxy.rule(Fault.HOLD_ANSWER, times=1)
            proxy.release()
            assert get(proxy)[0] == 200

    def test_refused_connections(self) -> None:
        """While it is down nobody is let in, not even by a connection that was open."""
        with HTTPReceiver() as peer, Proxy(peer.url) as proxy:
            kept = HTTPConnection("127.0.0.1", proxy.port, timeout=20)
            ask(kept)
            kept.auto_open = 0
            with proxy.down():
                with pytest.raises(ConnectionRefusedError):
                    get(proxy)
                with pytest.raises((HTTPException, OSError)):
                    ask(kept)
            kept.close()
            assert get(proxy)[0] == 200


def test_a_peer_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tests are skipped with the way to get it, or fail where it is needed."""
    monkeypatch.setattr(wordpress, "INSTALLED", tmp_path / "nowhere")
    line = "apt-get install .* wordpress"
    with pytest.raises(pytest.skip.Exception, match=line), Peers(tmp_path).use("wordpress"):
        pass
    needed = Peers(tmp_path, frozenset({"wordpress"}))
    with pytest.raises(pytest.fail.Exception, match=line), needed.use("wordpress"):
        pass


@pytest.mark.peers
def test_one_for_a_session(tmp_path: Path) -> None:
    """All processes use the same, and it ends with the last user, however that ends."""
    problem = missing()
    if problem:
        pytest.skip(problem)
    other = (
        "import sys; from pathlib import Path; from tests.peers.shared import shared_peer\n"
        "with shared_peer('wordpress', Path(sys.argv[1])) as found:\n"
        "    print(found['url'], flush=True); sys.stdin.read()\n"
    )
    with shared_peer("wordpress", tmp_path) as found:
        process = subprocess.Popen(
            [sys.executable, "-c", other, str(tmp_path)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline().strip() == found["url"]
    peer = WordPressPeer(**found)
    assert peer.page(peer.url)[0] == 200
    process.kill()
    process.communicate()
    wait_until(lambda: not Path(found["environment"]["WORDPRESS_DIRECTORY"]).exists())
    with pytest.raises(URLError):
        peer.page(peer.url)


@pytest.mark.peers
class TestWordPress:
    """The WordPress of the session."""

    def test_users(self, wordpress: WordPressPeer) -> None:
        """There is one for each role, with an application password."""
        for role in wordpress.users:
            me = wordpress.rest("GET", "/wp/v2/users/me", role=role, context="edit")
            assert me["roles"] == [role]

    def test_links_of_both_kinds(self, wordpress: WordPressPeer) -> None:
        """A site with plain links has no `/wp-json/`."""
        with Proxy(wordpress.url, add={"X-Peer-Modes": "plain"}) as plain:
            assert "wp/v2" in json.loads(get(plain, "/?rest_route=/")[1])["namespaces"]
            assert get(plain, "/wp-json/")[0] == 404
        with Proxy(wordpress.url) as pretty:
            assert "wp/v2" in json.loads(get(pretty, "/wp-json/")[1])["namespaces"]

    def test_custom_type(self, wordpress: WordPressPeer) -> None:
        """Press releases have desks."""
        types = wordpress.rest("GET", "/wp/v2/types", context="edit")
        assert types["press_release"]["rest_base"] == "press-releases"
        with pytest.raises(HTTPError, match="403"):
            wordpress.rest("POST", "/wp/v2/press-releases", role="author", data={"title": "a"})
        made = wordpress.rest("POST", "/wp/v2/press-releases", data={"title": "a", "desks": []})
        assert wordpress.run(f"echo get_post({made['id']})->post_type;") == "press_release"
