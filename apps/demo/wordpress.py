"""WordPress of Debian's packages on PHP's own server, with MariaDB; all in one directory.

No service of the system is used or started. Tests run theirs with it, too. Needs nothing but
Python, so that the packages can be told before any others are there.
"""

import json
import os
import pwd
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from apps.processes.embedded import children

FILES = Path(__file__).with_name("wordpress_files")
INSTALLED = Path("/usr/share/wordpress")
PACKAGES = (
    "wordpress wordpress-theme-twentytwentythree php-cli php-cgi php-mysql php-gd php-mbstring "
    "php-xml mariadb-server-core micro-httpd"
)
"""Of Debian. `wordpress` wants a web server and PHP in it: the smallest that start no service."""
PROGRAMS = ("php", "mariadbd", "mariadb-install-db", "mariadb")
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


@dataclass(frozen=True)
class WordPressSite:
    """A WordPress that runs.

    Attributes:
        users: id and application password, by role, which is the user's name as well.
        password: of all users, for the pages where people log in.
        environment: variables of the PHP that serves it.
    """

    url: str
    version: str
    users: Mapping[str, Mapping[str, Any]] = field(repr=False)
    password: str = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)


def missing() -> str | None:
    """Return how to get what is missing, None where nothing is."""
    path = _search_path()
    if INSTALLED.exists() and all(shutil.which(name, path=path) for name in PROGRAMS):
        return None
    return (
        f"WordPress is not installed; on Debian: apt-get install --no-install-recommends {PACKAGES}"
    )


@contextmanager
def running(
    directory: Path,
    title: str,
    *,
    password: str | None = None,
    plugins: Sequence[Path] = (),
    before: Path | None = None,
) -> Iterator[WordPressSite]:
    """Install a WordPress in `directory`, and run it until the block ends.

    Args:
        directory: empty, with a path that is short enough for sockets.
        password: of all users; a new one where it is left out.
        plugins: files that every request loads.
        before: a file that may set what the configuration sets otherwise.

    Raises:
        RuntimeError: the installation fails.
        TimeoutError: a server does not come up.
    """
    password = password or secrets.token_urlsafe(12)
    environment = {
        "PATH": _search_path(),
        "LC_ALL": "C.UTF-8",
        "TMPDIR": str(directory),
        "PHP_CLI_SERVER_WORKERS": WORKERS,
        "WORDPRESS_DIRECTORY": str(directory),
        "WORDPRESS_URL": "http://127.0.0.1",
        "WORDPRESS_TITLE": title,
        "WORDPRESS_PASSWORD": password,
        "WORDPRESS_SECRET": secrets.token_hex(32),
        "WORDPRESS_BEFORE": str(before or ""),
    }
    _lay_out(directory / "site", plugins)
    with ExitStack() as stack:
        stack.enter_context(_database(directory, environment))
        installed = json.loads(php(environment, str(FILES / "install.php")))
        url = environment["WORDPRESS_URL"] = stack.enter_context(_served(directory, environment))
        yield WordPressSite(url, **installed, password=password, environment=environment)


@contextmanager
def _served(directory: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Serve the site at a port of its own, and yield its address."""
    log = directory / "php.log"
    for _ in range(PORTS_TRIED):
        port = children.free_port()
        url = f"http://127.0.0.1:{port}"
        site = directory / "site"
        command = ["php", *_php_options(), "-S", f"127.0.0.1:{port}", "-t", str(site)]
        command.append(str(FILES / "router.php"))
        with _process(command, {**environment, "WORDPRESS_URL": url}, log) as server:
            _wait(lambda: server.poll() is not None or _is_ours(url))  # noqa: B023  # called here
            if server.poll() is None:
                yield url
                return
    raise RuntimeError(f"PHP's server did not start: {log.read_text()[-2000:]}")


def php(environment: Mapping[str, str], *arguments: str) -> str:
    """Run PHP as the site does, and return what it prints.

    Raises:
        RuntimeError: it fails.
    """
    done = subprocess.run(  # noqa: S603 - commands are ours
        ["php", *_php_options(), *arguments],  # noqa: S607 - wherever it is installed
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"PHP failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _search_path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _lay_out(site: Path, plugins: Sequence[Path]) -> None:
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
    for plugin in plugins:
        (content / "mu-plugins" / plugin.name).symlink_to(plugin)
    (site / "wp-config.php").symlink_to(FILES / "wp-config.php")


@contextmanager
def _database(directory: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Run a MariaDB that only this directory's socket leads to."""
    data, socket_path = directory / "database", directory / "database.sock"
    user = pwd.getpwuid(os.getuid()).pw_name
    # A MariaDB that starts removes the temporary tables of others in the same directory.
    common = ["--no-defaults", f"--datadir={data}", f"--tmpdir={directory}", f"--user={user}"]
    subprocess.run(  # noqa: S603
        [  # noqa: S607
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
        tried = subprocess.run(  # noqa: S603
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
    process = children.start(command, log, environment)
    try:
        yield process
    finally:
        # With its workers, which PHP's server leaves behind.
        children.stop([process])


def _php_options() -> list[str]:
    return [part for name, value in PHP_OPTIONS.items() for part in ("-d", f"{name}={value}")]


def _is_ours(url: str) -> bool:
    """Whether our WordPress, and nobody else, answers there."""
    try:
        with urlopen(f"{url}/?rest_route=/&_fields=url", timeout=START_SECONDS) as answer:  # noqa: S310
            return bool(json.load(answer).get("url") == url)
    except (OSError, ValueError):
        return False


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the server did not come up in time")
        time.sleep(POLL_SECONDS)
