"""The store of binaries (resources contract 20.1)."""

import pytest
from bson import ObjectId

from apps.core.errors import NotFound
from apps.graph.build import Graph
from apps.media.storage import MediaStorage

JPEG = b"\xff\xd8\xff\xe0 a picture"
LARGE = b"\x89PNG\r\n\x1a\n" + b"x" * 700_000


def test_what_is_put_can_be_got(media: MediaStorage) -> None:
    """Content, name, type and what is known about it come back; the type is told from the bytes."""
    id = media.put(LARGE, "chart.png", "text/plain", {"width": 3, "tags": ["a"]})

    file = media.get(str(id))
    assert (file.read(), file.length) == (LARGE, len(LARGE))
    assert (file.filename, file.content_type) == ("chart.png", "image/png")
    assert file.metadata == {"width": 3, "tags": ["a"]}


@pytest.mark.parametrize(
    ("claimed", "found"), [("text/csv", "text/csv"), (None, "application/octet-stream")]
)
def test_a_content_that_does_not_show_its_type_has_the_claimed_one(
    media: MediaStorage, claimed: str | None, found: str
) -> None:
    """Without a claim it is just bytes."""
    assert media.get(media.put(b"a,b", content_type=claimed)).content_type == found


def test_a_repeated_put_changes_nothing(media: MediaStorage, graph: Graph) -> None:
    """Whoever draws the id first may put again."""
    id = ObjectId()
    media.put(JPEG, id=id)

    assert media.put(b"other", id=id) == id
    assert media.get(id).read() == JPEG
    assert graph.db["fs.files"].count_documents({}) == 1


def test_a_put_that_was_cut_off_is_made_again(media: MediaStorage, graph: Graph) -> None:
    """Chunks without an entry are no file, and do not stand in the way of one."""
    id = media.put(LARGE)
    graph.db["fs.files"].delete_one({"_id": id})
    assert not media.exists(id)

    media.put(LARGE, id=id)

    assert media.get(id).read() == LARGE


@pytest.mark.parametrize("id", [ObjectId(), "no id", None])
def test_what_is_not_there_is_not_found(media: MediaStorage, id: object) -> None:
    """Deleting it is no error."""
    media.delete(id)

    with pytest.raises(NotFound, match="File not found on media storage"):
        media.get(id)
    assert not media.exists(id)


def test_a_deleted_file_leaves_nothing(media: MediaStorage, graph: Graph) -> None:
    """Neither entry nor chunks."""
    media.delete(str(media.put(LARGE)))

    assert [graph.db[f"fs.{n}"].count_documents({}) for n in ("files", "chunks")] == [0, 0]
