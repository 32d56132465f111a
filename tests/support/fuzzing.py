"""Sends generated requests to every route, as many kinds of users, and keeps what breaks."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from traceback import extract_tb
from typing import Any
from urllib.parse import quote, urlencode

from structlog.testing import capture_logs
from werkzeug.datastructures import Headers

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client, client_of, new_user
from tests.support.hostile import ARGUMENTS, HEADERS, RAW_BODIES, TEXTS, Documents, encoded

ADMIN, USER, SUBSCRIBER = "admin", "user", "subscriber"
CONTENT_API = "content_api_users_"
"""How routes of the content API are called: subscribers read them."""
METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS")
CPU_SECONDS = 5.0
"""Processor time of this process that a request may take: another load on the machine is not in
it."""
WALL_SECONDS = 60.0
"""Time by the clock, for what other processes do: a query that the store does not end."""
REFRESH = 50
"""Requests after which ids are read anew."""
OFTEN = 20
"""How often a method that a route offers comes for one that it may not."""
ACTIONS = frozenset({"archive_publish", "archive_correct", "archive_kill", "archive_takedown"})
PUBLISHED = 0.7
"""Share of the new items that are published at once."""
KNOWN_FIELDS_ONLY = 0.8
"""Share of the bodies that have no field which the schema does not know."""
SERVER_FIELDS = ("_id", "_created", "_updated", "_etag", "_current_version", "version")
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Request:
    """One request, as it can be sent again.

    Attributes:
        path: below the prefix of the API, with its query.
        body: None for none.
        caller: `admin`, `user` (who may write items, nothing else) or `subscriber`.
    """

    method: str
    path: str
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    caller: str = ADMIN

    def as_json(self) -> str:
        """Return the request as `tests/fuzz/found.json` keeps them."""
        return json.dumps({k: v for k, v in asdict(self).items() if v not in (None, {})})


@dataclass(frozen=True)
class Answer:
    """What came of a request.

    Attributes:
        status: 0 when an exception left the application.
        cause: type of the exception and the place in the project that it comes from.
        is_fault: it is a refusal that Eve has made of an exception.
        item_id: of an item that was made.
    """

    status: int
    seconds: float
    cause: str = ""
    is_fault: bool = False
    item_id: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether the application, not the client, is to blame."""
        return self.status == 0 or self.status >= 500 or self.is_fault


class Sender:
    """Sends requests as users who are made anew where a request has taken their session away."""

    def __init__(self, app: Any, graph: Graph) -> None:
        self._app = app
        self._graph = graph
        self._clients: dict[str, Client] = {}
        self._count = 0

    def client(self, caller: str) -> Client:
        """Return a client whose session or token holds."""
        if caller not in self._clients:
            self._count += 1
            token = self._token() if caller == SUBSCRIBER else None
            self._clients[caller] = Client(self._app, token) if token else self._logged_in(caller)
        return self._clients[caller]

    def _token(self) -> str | None:
        stored = self._graph.db["subscribers"].find_one({"is_active": True}, sort=[("_id", 1)])
        if stored is None:
            return None
        body = {"subscriber": str(stored["_id"])}
        return str(self.client(ADMIN).post("subscriber_token", body).get_json().get("_id"))

    def _logged_in(self, caller: str) -> Client:
        rights = {"privileges": {"archive": 1}} if caller == USER else {}
        kind = "user" if caller == USER else "administrator"
        user = new_user(f"fuzz{self._count}{caller}", user_type=kind, **rights)
        now = self._graph.clock.now()
        dates = {"_created": now, "_updated": now, "password_changed_on": now, "_etag": "x"}
        own = {"display_name": "Fuzz", "role": None, "invisible_stages": []}
        self._graph.db["users"].insert_one({**user, **own, **dates})
        return client_of(self._app, user)

    def send(self, request: Request) -> Answer:
        """Send a request; an answer is never an exception."""
        own_credentials = any(name.lower() == "authorization" for name in request.headers)
        client = self.client(request.caller)
        started, worked = time.monotonic(), time.process_time()
        status, cause, hidden, made = 0, "", "", ""
        with capture_logs() as logs:
            try:
                response = client.request(
                    request.method,
                    request.path,
                    headers=Headers(list(request.headers.items())),
                    data=None
                    if request.body is None
                    else request.body.encode("utf-8", "surrogateescape"),
                )
                status = response.status_code
                hidden = _hidden_fault(response.get_data())
                if status == 201 and request.path.partition("?")[0] == "archive":
                    made = str((response.get_json() or {}).get("_id") or "")
            except Exception as error:
                cause = cause_of(error)
        seconds = time.process_time() - worked
        if seconds <= CPU_SECONDS and time.monotonic() - started > WALL_SECONDS:
            seconds = time.monotonic() - started
        raised = (cause_of(entry["exc_info"]) for entry in logs if entry.get("exc_info"))
        cause = cause or next(raised, "") or hidden
        if status == 401 and not own_credentials:
            self._clients.pop(request.caller)
        return Answer(status, seconds, cause, bool(hidden), made)


def _hidden_fault(text: bytes) -> str:
    """Return the text of an exception that stands among the issues of an answer."""
    if b'"exception"' not in text:
        return ""
    body = json.loads(text)
    answers = [body, *(body.get("_items") or ())]
    issues = [a["_issues"] for a in answers if isinstance(a, dict) and "_issues" in a]
    texts = [str(i["exception"]) for i in issues if isinstance(i, dict) and "exception" in i]
    return f"exception: {texts[0][:150]}" if texts else ""


def cause_of(error: Any) -> str:
    """Return the type of an exception and the innermost place in the project that it passed."""
    if not isinstance(error, BaseException):
        return str(error)
    frames = [f for f in extract_tb(error.__traceback__) if f.filename.startswith(str(ROOT))]
    own = [frame for frame in frames if "/tests/" not in frame.filename]
    own = own or list(extract_tb(error.__traceback__))
    place = f"{Path(own[-1].filename).name}:{own[-1].name}" if own else "?"
    return f"{type(error).__name__} in {place}: {str(error)[:150]}"


class Campaign:
    """Requests of one seed.

    Args:
        app: the API.
        graph: its services.
        seed: of all choices.
        directory: where deliveries may write files.
    """

    def __init__(self, app: Any, graph: Graph, seed: int, directory: Path) -> None:
        self._app = app
        self._graph = graph
        self._random = Random(seed)
        self._ids: dict[str, list[Any]] = {}
        self._documents = Documents(self._random, self._ids, directory)
        self.sender = Sender(app, graph)
        self.failures: dict[tuple[str, str, str], tuple[Request, Answer]] = {}
        """By method, route and cause."""
        self.statuses: dict[int, int] = {}

    def run(self, count: int) -> None:
        """Send `count` requests, over all routes and methods in turn; keep what fails."""
        targets = self._targets()
        for number in range(count):
            if number % REFRESH == 0:
                self.read_ids()
            method, rule = next(targets)
            answer = self._try(self._request(method, rule), rule.rule)
            if answer.item_id and self._random.random() < PUBLISHED:
                self._publish(answer.item_id)

    def _try(self, request: Request, route: str) -> Answer:
        answer = self.sender.send(request)
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        if answer.is_failure:
            self._keep(request, answer, route)
        elif answer.seconds > CPU_SECONDS:
            self._keep(request, replace(answer, cause=f"{answer.seconds:.0f} seconds"), route)
        return answer

    def _publish(self, item_id: str) -> None:
        """Publish what has just been made, and do more with it."""
        for action in ("publish", *self._random.sample(("correct", "kill", "takedown"), 1)):
            stored = self._graph.db["archive"].find_one({"_id": item_id}) or {}
            headers = {"If-Match": str(stored.get("_etag")), "Content-Type": "application/json"}
            path = f"archive/{action}/{quote(item_id, safe='')}"
            self._try(Request("PATCH", path, "{}", headers), f"archive/{action}/<id>")

    def _keep(self, request: Request, answer: Answer, route: str) -> None:
        key = (request.method, route, answer.cause.partition(": ")[0])
        if key not in self.failures:
            self.failures[key] = (self._reduced(request, answer), answer)

    def _reduced(self, request: Request, answer: Answer) -> Request:
        """Return the request without what it fails without, as far as it can be sent again."""
        for smaller in _smaller(request):
            again = self.sender.send(smaller)
            if (
                again.is_failure
                and again.cause.partition(": ")[0] == answer.cause.partition(": ")[0]
            ):
                return self._reduced(smaller, answer)
        return request

    def report(self) -> str:
        """Return the failures, each with a request that leads to it."""
        return "\n".join(
            f"{answer.status} {answer.cause}\n    {request.as_json()[:2000]}"
            for request, answer in self.failures.values()
        )

    def read_ids(self) -> None:
        """Read the ids of what is stored, by resource."""
        for resource, definition in self._app.config["DOMAIN"].items():
            source = (definition.get("datasource") or {}).get("source") or resource
            found = self._graph.db[source].find({}, {"_id": 1}).sort("_created", -1).limit(40)
            self._ids[resource] = [document["_id"] for document in found]

    def _targets(self) -> Iterator[tuple[str, Any]]:
        """Yield every route with every method in turn; those that it offers come more often."""
        rules = sorted(self._app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint))
        targets = []
        for rule in rules:
            # POST to a document is another method in disguise.
            is_disguise = rule.endpoint.endswith("|item_post_override")
            offered = set() if is_disguise else (rule.methods or set()) - {"HEAD", "OPTIONS"}
            targets += [(method, rule) for method in METHODS]
            is_of_items = rule.endpoint.startswith("archive")
            often = OFTEN * (4 if is_of_items else 1)
            targets += [(method, rule) for method in sorted(offered - {"GET"})] * often
            targets += [(method, rule) for method in sorted(offered & {"GET"})] * OFTEN
        while True:
            self._random.shuffle(targets)
            yield from targets

    def _request(self, method: str, rule: Any) -> Request:
        resource = rule.endpoint.partition("|")[0]
        path = self._path(rule, resource)
        headers = self._headers(method, resource, path)
        arguments = self._arguments()
        body = self._body(method, resource)
        if body is not None and not any(name == "Content-Type" for name in headers):
            headers["Content-Type"] = "application/json"
        return Request(
            method,
            path + (f"?{urlencode(arguments, errors='surrogatepass')}" if arguments else ""),
            body.decode("utf-8", "surrogateescape") if body is not None else None,
            headers,
            self._caller(rule.endpoint),
        )

    def _caller(self, endpoint: str) -> str:
        if endpoint.startswith(CONTENT_API):
            return self._random.choice([SUBSCRIBER, SUBSCRIBER, SUBSCRIBER, ADMIN])
        return self._random.choice([ADMIN, ADMIN, ADMIN, USER])

    def _path(self, rule: Any, resource: str) -> str:
        path = ""
        for is_dynamic, text in rule._trace:
            path += self._segment(resource, text) if is_dynamic else text.removeprefix("|")
        return path.removeprefix("/api/")

    def _segment(self, resource: str, argument: str) -> str:
        if self._random.random() < 0.1:
            return quote(self._random.choice(TEXTS)[:300] or "x", safe="", errors="surrogatepass")
        pools = {
            "target_id": "archive", "original_id": "archive", "item_id": "archive",
            "user_id": "users", "desk_id": "desks", "subscriber_id": "subscribers",
            "token": "subscriber_token",
        }  # fmt: skip
        if argument == "path:id" or resource.startswith(CONTENT_API):
            resource = "archive"
        if argument == "kind":
            return self._random.choice(["atom", "rss", "json", "x"])
        of_items = (
            "archive" if resource.startswith("archive_") or resource == "explain" else resource
        )
        wanted = pools.get(argument, of_items)
        return quote(
            str(self._documents.id(wanted if self._random.random() < 0.9 else None)), safe=""
        )

    def _headers(self, method: str, resource: str, path: str) -> dict[str, str]:
        headers: dict[str, str] = {}
        if method in ("PATCH", "PUT", "DELETE") and self._random.random() < 0.9:
            headers["If-Match"] = self._etag(resource, path)
        if self._random.random() < 0.1:
            name = self._random.choice(sorted(HEADERS))
            headers[name] = self._random.choice(HEADERS[name])
        return headers

    def _etag(self, resource: str, path: str) -> str:
        definition = self._app.config["DOMAIN"].get(resource) or {}
        source = (definition.get("datasource") or {}).get("source") or resource
        collection = "archive" if resource.startswith("archive_") else source
        id_ = path.rsplit("/", 1)[-1]
        for known in self._ids.get(resource, []) + self._ids.get("archive", []):
            if str(known) == id_ or quote(str(known), safe="") == id_:
                found = self._graph.db[collection].find_one({"_id": known}, {"_etag": 1}) or {}
                return str(found.get("_etag") or "x")
        return "x"

    def _arguments(self) -> dict[str, str]:
        if self._random.random() < 0.7:
            return {}
        names = self._random.sample(sorted(ARGUMENTS), self._random.choice([1, 1, 2]))
        return {name: self._random.choice(ARGUMENTS[name]) for name in names}

    def _body(self, method: str, resource: str) -> bytes | None:
        if method not in ("POST", "PATCH", "PUT"):
            return None if self._random.random() < 0.9 else self._random.choice(RAW_BODIES)
        choice = self._random.random()
        if choice < 0.08:
            return self._random.choice(RAW_BODIES)
        body = self._document(method, resource)
        body = self._documents.mutated(body) if choice < 0.6 else self._documents.harmless(body)
        if method == "POST" and choice > 0.92:
            other = self._documents.mutated(self._document(method, resource))
            body = [body, self._random.choice([other, body, None])]
        return encoded(body)

    def _document(self, method: str, resource: str) -> Any:
        definition = self._app.config["DOMAIN"].get(resource) or {}
        schema: Document = definition.get("schema") or {}
        holds_items = resource.startswith("archive") or resource in ("published", "archived")
        choice = self._random.random()
        if method == "PATCH" and resource in ACTIONS and choice < 0.4:
            return {}
        if resource == "content_templates_apply":
            return {"template_name": "kill", "item": self._documents.item()}
        if choice < 0.4 and (stored := self._stored(resource)):
            base = stored
        elif choice < 0.7 and holds_items:
            base = self._documents.item()
        else:
            share = self._random.choice([0.0, 0.1, 0.4])
            return self._documents.valid(schema, share)
        if self._random.random() < KNOWN_FIELDS_ONLY:
            writable = {n for n, rules in schema.items() if not (rules or {}).get("readonly")}
            base = {n: v for n, v in base.items() if n in writable and n not in SERVER_FIELDS}
        if method == "PATCH":
            return self._some_of(base)
        return self._renamed(base) if self._random.random() < 0.7 else base

    def _stored(self, resource: str) -> Document | None:
        """Return what is stored of a resource, or of the items that its actions are for."""
        definition = self._app.config["DOMAIN"].get(resource) or {}
        source = (definition.get("datasource") or {}).get("source") or resource
        if resource.startswith("archive_"):
            source = "archive"
        known = self._ids.get(resource) or self._ids.get(source)
        if not known:
            return None
        found = self._graph.db[source].find_one({"_id": self._random.choice(known)})
        return dict(json.loads(encoded(found))) if found else None

    def _some_of(self, document: Document) -> Document:
        names = self._random.sample(sorted(document), min(len(document), 4))
        return {name: document[name] for name in names[: self._random.randrange(5)]}

    def _renamed(self, document: Document) -> Document:
        """Return a document whose names and ids are those of nothing that is stored."""
        own = {"name", "username", "email", "template_name", "display_name", "label", "guid"}
        own |= {"unique_name", "item_id"}
        return {
            name: f"{self._random.randrange(10**9)}{'@example.com' if name == 'email' else ''}"
            if name in own and isinstance(value, str)
            else value
            for name, value in document.items()
            if name != "unique_id"
        }


def _smaller(request: Request) -> Iterator[Request]:
    """Yield a request with one thing left out, for each thing."""
    for name in request.headers:
        kept = {n: v for n, v in request.headers.items() if n != name}
        yield replace(request, headers=kept)
    path, _, query = request.path.partition("?")
    if query:
        parts = query.split("&")
        for part in parts:
            rest = "&".join(p for p in parts if p != part)
            yield replace(request, path=f"{path}?{rest}" if rest else path)
    try:
        body = json.loads(request.body or "")
    except ValueError:
        return
    if isinstance(body, list) and len(body) > 1:
        for entry in body:
            yield replace(request, body=json.dumps(entry))
    elif isinstance(body, dict):
        for name in body:
            yield replace(request, body=json.dumps({n: v for n, v in body.items() if n != name}))
