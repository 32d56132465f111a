"""WordPress of Debian's packages on PHP's own server, with MariaDB; all in one directory.

No service of the system is used or started. `wordpress_files/wp-config.php` says what kinds of
sites a request may ask for with a header, such as one with plain links.
"""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

FILES = Path(__file__).with_name("wordpress_files")
INSTALLED = Path("/usr/share/wordpress")
PACKAGES = (
    "wordpress wordpress-theme-twentytwentythree php-cli php-cgi php-mysql php-gd php-mbstring "
    "php-xml mariadb-server-core micro-httpd"
)
"""Of Debian. `wordpress` wants a web server and PHP in it: the smallest that start no service."""
WORKERS = "6"
"""Requests at once: a page of WordPress may ask its own server for more."""
PHP_OPTIONS = {
    "auto_prepend_file": FILES / "prepend.php",
    "display_errors": "0",
    "log_errors": "0",
    "memory_limit": "256M",
    "opcache.enable": "1",
    "sendmail_path": "/bin/true",
    "post_max_size": "16M",
    "upload_max_filesize": "8M",
}
PORTS_TRIED = 5
"""Somebody else may take a port between its choice and its use."""
START_SECONDS = 100.0
POLL_SECONDS = 0.05


def missing() -> str | None:
    """Return how to get what is missing, None where nothing is."""
    programs = ("php", "mariadbd", "mariadb-install-db")
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    if INSTALLED.exists() and all(shutil.which(name, path=path) for name in programs):
        return None
    return (
        f"WordPress is not installed; on Debian: apt-get install --no-install-recommends {PACKAGES}"
    )


def install() -> None:
    """Install what is missing, as root or with `sudo`; does nothing where neither is possible.

    Raises:
        CalledProcessError: the packages cannot be installed.
    """
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if not shutil.which("apt-get") or not _works([*sudo, "true"]):
        return
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    subprocess.run([*apt, "update"], check=True)
    subprocess.run(
        [*apt, "install", "-y", "--no-install-recommends", *PACKAGES.split()], check=True
    )


def _works(command: Sequence[str]) -> bool:
    return bool(shutil.which(command[0])) and not subprocess.run(command, check=False).returncode


@contextmanager
def running(directory: Path) -> Iterator[dict[str, Any]]:
    """Install a WordPress in `directory`, and run it until the block ends."""
    environment = {
        "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
        "PEER_DIRECTORY": str(directory),
        "PEER_URL": "http://127.0.0.1",
        "PHP_CLI_SERVER_WORKERS": WORKERS,
        "TMPDIR": str(directory),
        "LC_ALL": "C.UTF-8",
    }
    _lay_out(directory / "site")
    with ExitStack() as stack:
        stack.enter_context(_database(directory, environment))
        installed = json.loads(_php(environment, str(FILES / "install.php")))
        environment["PEER_URL"] = stack.enter_context(_site(directory, environment))
        yield {"url": environment["PEER_URL"], "environment": environment, **installed}


@contextmanager
def _site(directory: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Serve the site at a port of its own, and yield its address."""
    for _ in range(PORTS_TRIED):
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        site = directory / "site"
        command = ["php", *_php_options(), "-S", f"127.0.0.1:{port}", "-t", str(site)]
        log = directory / "php.log"
        here = {**environment, "PEER_URL": url}
        with _process([*command, str(FILES / "router.php")], here, log) as server:
            _wait(lambda: server.poll() is not None or _is_peer(url))  # noqa: B023  # called here
            if server.poll() is None:
                yield url
                return
    raise RuntimeError(f"PHP's server did not start: {log.read_text()[-2000:]}")


def _lay_out(site: Path) -> None:
    """Make a site of the packaged files, with contents of its own."""
    content = site / "wp-content"
    content.mkdir(parents=True)
    for entry in INSTALLED.iterdir():
        if entry.name not in (".htaccess", "wp-config.php", "wp-content"):
            (site / entry.name).symlink_to(entry)
    for name in ("themes", "plugins"):
        (content / name).symlink_to(INSTALLED / "wp-content" / name)
    for name in ("mu-plugins", "uploads"):
        (content / name).mkdir()
    (content / "mu-plugins" / "newsroom.php").symlink_to(FILES / "newsroom.php")
    (site / "wp-config.php").symlink_to(FILES / "wp-config.php")


@contextmanager
def _database(directory: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Run a MariaDB that only this directory's socket leads to."""
    data, socket_path = directory / "database", directory / "database.sock"
    user = pwd.getpwuid(os.getuid()).pw_name
    # A MariaDB that starts removes the temporary tables of others in the same directory.
    common = ["--no-defaults", f"--datadir={data}", f"--tmpdir={directory}", f"--user={user}"]
    subprocess.run(
        [
            "mariadb-install-db",
            *common,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    command = [
        "mariadbd",
        *common,
        f"--socket={socket_path}",
        f"--pid-file={directory / 'database.pid'}",
        "--skip-networking",
        "--innodb-buffer-pool-size=32M",
        "--innodb-flush-log-at-trx-commit=0",
        "--performance-schema=OFF",
        "--character-set-server=utf8mb4",
    ]
    client = ["mariadb", "--no-defaults", f"--socket={socket_path}", "--user=root"]

    def is_up() -> bool:
        tried = subprocess.run(
            [*client, "-e", "CREATE DATABASE IF NOT EXISTS wordpress"],
            env=environment,
            check=False,
            capture_output=True,
        )
        return tried.returncode == 0

    with _process(command, environment, directory / "database.log"):
        _wait(is_up)
        yield


@contextmanager
def _process(
    command: Sequence[str], environment: Mapping[str, str], log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        # With its workers, which PHP's server leaves behind.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _php_options() -> list[str]:
    return [part for name, value in PHP_OPTIONS.items() for part in ("-d", f"{name}={value}")]


def _php(environment: Mapping[str, str], *arguments: str) -> str:
    done = subprocess.run(
        ["php", *_php_options(), *arguments],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,  # without its database WordPress waits and tries, again and again
    )
    if done.returncode:
        raise RuntimeError(f"PHP failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


def _is_peer(url: str) -> bool:
    """Whether our WordPress, and nobody else, answers there."""
    try:
        with urlopen(f"{url}/?rest_route=/&_fields=url", timeout=START_SECONDS) as answer:
            return bool(json.load(answer).get("url") == url)
    except (OSError, ValueError):
        return False


def _wait(condition: Any) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the server did not come up in time")
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class WordPressPeer:
    """A WordPress as tests look at it, past the code under test.

    Attributes:
        users: id and application password, by role, which is the user's name as well.
    """

    url: str
    version: str
    users: Mapping[str, Mapping[str, Any]]
    environment: Mapping[str, str]

    def credentials(self, role: str) -> dict[str, str]:
        """Return the credentials of the user with this role."""
        return {"username": role, "application_password": self.users[role]["password"]}

    def rest(
        self,
        method: str,
        route: str,
        *,
        data: Any = None,
        role: str = "administrator",
        **query: Any,
    ) -> Any:
        """Send a REST request as an administrator, or another user, and return its answer.

        Raises:
            HTTPError: the answer is an error.
        """
        login = f"{role}:{self.users[role]['password']}"
        headers = {"Authorization": "Basic " + b64encode(login.encode()).decode()}
        if data is not None:
            headers["Content-Type"] = "application/json"
        address = f"{self.url}/?{urlencode({'rest_route': route, **query})}"
        body = None if data is None else json.dumps(data).encode()
        with urlopen(Request(address, body, headers, method=method), timeout=60) as answer:
            return json.load(answer)

    def page(self, url: str) -> tuple[int, str]:
        """Return status and text of a public page, as a reader gets it."""
        try:
            with urlopen(url, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def run(self, code: str) -> str:
        """Run PHP inside the site and return what it prints."""
        loaded = f"require '{FILES / 'prepend.php'}'; require ABSPATH . 'wp-load.php'; {code}"
        return _php(self.environment, "-r", loaded)

    def release_scheduled(self) -> None:
        """Let the site do what is due, as a visit of somebody would."""
        self.page(f"{self.url}/wp-cron.php?doing_wp_cron")
