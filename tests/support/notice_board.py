"""A fourth platform, as a package of somebody else offers it: boards that hold notes, by number."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from apps.core import json
from apps.core.registry import Field
from tests.support.receivers import HTTPReceiver, Received, Reply
from transmitters.cms.base import (
    Check,
    ConnectionTest,
    ErrorClass,
    MediaLimits,
    MediaUpload,
    Payload,
    Platform,
    PlatformError,
    PostIdentity,
    RemoteMedia,
    RemotePost,
    RemoteState,
    RemoteTerm,
    RetractMode,
    Story,
    Taxonomy,
)
from transmitters.cms.failures import foreign_answer, without_answer
from transmitters.http_connections import NoAnswer


class Board(HTTPReceiver):
    """A site: notes are made, written, listed and removed, and read by everybody."""

    def __init__(self) -> None:
        self.notes: dict[str, dict[str, Any]] = {}
        super().__init__(self._served)

    def _served(self, request: Received) -> Reply:
        path = request.path.strip("/").split("/")
        id_ = path[1] if len(path) > 1 else ""
        match request.method:
            case "POST":
                id_ = str(len(self.notes) + 1)
                self.notes[id_] = {**request.json(), "id": id_}
            case "PUT" if id_ in self.notes:
                self.notes[id_].update(request.json())
            case "DELETE" if id_ in self.notes:
                return 200, {"Content-Type": "application/json"}, json.dumps(self.notes.pop(id_))
        found = self.notes.get(id_) if id_ else list(self.notes.values())
        status = 404 if found is None else 200
        return status, {"Content-Type": "application/json"}, json.dumps(found or {"notes": []})


class NoticeBoard(Platform):
    """Speak with a board. Notes hold our reference, so each is found by it."""

    destination = "noticeboard"
    name = "Notice board"
    credentials = (Field("key", "Key of the board", required=True, secret=True),)
    options: ClassVar[Mapping[str, Any]] = {"color": {"type": "string", "default": "yellow"}}
    errors: ClassVar[Mapping[int, str]] = {19000: "Notice board error"}
    retract_modes = (RetractMode.DELETE,)
    kill_mode = RetractMode.DELETE

    @classmethod
    def check_credentials(cls, credentials: Mapping[str, str]) -> Mapping[str, str]:
        return {} if credentials.get("key") else {"key": "required field"}

    def test(self, *, write: bool = False) -> ConnectionTest:
        try:
            self._send("GET", "")
        except PlatformError as error:
            return ConnectionTest([Check("reach", False, error)])
        return ConnectionTest([Check("reach", True, message="The board answers")], {"version": "1"})

    def payload(self, story: Story) -> Payload:
        color = self.site.options["color"]
        return Payload({"title": story.headline, "text": story.body, "color": color})

    def look_up(self, identity: PostIdentity) -> Sequence[RemotePost]:
        found = self._send("GET", "")
        notes = found if isinstance(found, list) else []
        return [self._post(note) for note in notes if note["ref"] == identity.ref]

    def read(self, post_id: str) -> RemotePost | None:
        found = self._send("GET", f"/{post_id}")
        return self._post(found) if found else None

    def create(self, payload: Payload, identity: PostIdentity) -> RemotePost:
        made = self._send("POST", "", {**payload.fields, "ref": identity.ref})
        return self.update(self._found(made), payload, identity)

    def update(self, post: RemotePost, payload: Payload, identity: PostIdentity) -> RemotePost:
        return self._found(self._send("PUT", f"/{post.id}", dict(payload.fields)))

    def retract(self, post: RemotePost, mode: RetractMode) -> RemoteState:
        self._send("DELETE", f"/{post.id}")
        return RemoteState.DELETED

    def unschedule(self, post: RemotePost) -> RemotePost:
        return post

    def discard(self, post: RemotePost) -> None:
        self._send("DELETE", f"/{post.id}")

    @property
    def media_limits(self) -> MediaLimits:
        return MediaLimits(frozenset())

    def find_media(self, upload: MediaUpload) -> RemoteMedia | None:
        return None

    def upload(self, upload: MediaUpload) -> RemoteMedia:
        raise PlatformError(ErrorClass.UNSUPPORTED, "no_media", "Boards hold no pictures")

    def has_media(self, media: RemoteMedia) -> bool:
        return False

    def delete_media(self, media: RemoteMedia, *, is_sure: bool = False) -> bool:
        return False

    def taxonomies(self) -> Sequence[Taxonomy]:
        return []

    def terms(self, taxonomy: str) -> Iterator[RemoteTerm]:
        yield from ()

    def terms_of(self, post: RemotePost, taxonomies: Sequence[str]) -> Mapping[str, Sequence[str]]:
        return {}

    def create_term(
        self, taxonomy: str, name: str, slug: str, parent: str | None = None
    ) -> RemoteTerm:
        raise PlatformError(ErrorClass.UNSUPPORTED, "no_terms", "Boards have no terms")

    def default_taxonomy(self, scheme: str) -> str | None:
        return None

    # Requests.

    def _send(self, method: str, path: str, data: Any = None) -> Any:
        """Send a request; return what the board answers, None where there is no such note."""
        key = {"Authorization": f"Key {self.site.credentials['key']}"}
        url = f"{self.site.base_url}/notes{path}"
        try:
            answer = self.client.request(method, url, headers=key, data=data)
        except NoAnswer as error:
            raise without_answer(error, writes=method != "GET") from error
        if answer.status == 404 and answer.is_json:
            return None
        if answer.status != 200 or not answer.is_json:
            raise foreign_answer(answer, self.name, writes=method != "GET")
        return answer.data

    def _found(self, note: Any) -> RemotePost:
        if not note:
            raise PlatformError(ErrorClass.NOT_FOUND, "gone", "The note is gone")
        return self._post(note)

    def _post(self, note: Mapping[str, Any]) -> RemotePost:
        url = f"{self.site.base_url}/notes/{note['id']}"
        return RemotePost(note["id"], RemoteState.LIVE, url)


def install(directory: Path) -> None:
    """Make a package in `directory` that offers the platform; it counts once that is searched."""
    info = directory / "notice_board-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: notice-board\nVersion: 1.0\n")
    offered = f"[wiredesk.platforms]\nnoticeboard = {__name__}:{NoticeBoard.__name__}\n"
    (info / "entry_points.txt").write_text(offered)
