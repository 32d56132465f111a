"""Packages at the HTTP edge while they are written: structure, links, embargoes."""

from typing import Any

import pytest

from apps.graph.build import Graph
from tests.support.clients import Client
from tests.support.newsroom import Newsroom

REFUSED = "validator exception"
COUNTS = "The number of groups and of referenced groups in the root group do not match."


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    return Newsroom(graph.db)


@pytest.fixture
def story(admin: Client, newsroom: Newsroom) -> dict[str, Any]:
    return admin.create("archive", newsroom.story())


def ref(item_id: str, **fields: Any) -> dict[str, Any]:
    return {"residRef": item_id, **fields}


def groups(*members: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"id": "root", "role": "grpRole:NEP", "refs": [{"idRef": "main"}]},
        {"id": "main", "role": "grpRole:main", "refs": list(members)},
    ]


def package(newsroom: Newsroom, *members: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return newsroom.story(type="composite", groups=groups(*members), **fields)


def links(client: Client, item_id: str) -> list[str]:
    item = client.get(f"archive/{item_id}").get_json()
    return [link["package"] for link in item.get("linked_in_packages") or []]


class TestCreate:
    def test_a_package_without_groups_gets_an_empty_main_group(
        self, admin: Client, newsroom: Newsroom
    ) -> None:
        """Root and main are created; a missing stage is the desk's working stage.

        Lifecycle contract 1.9.
        """
        body = newsroom.story(type="composite")
        body["task"] = {"desk": body["task"]["desk"]}

        created = admin.create("archive", body)

        assert groups() == created["groups"]
        assert str(newsroom.desk["working_stage"]) == created["task"]["stage"]

    def test_fills_refs_and_links_members(
        self, admin: Client, newsroom: Newsroom, story: dict[str, Any]
    ) -> None:
        """Lifecycle contract 1.9: guid and type come from the member, whose etag stays as it is."""
        created = admin.create("archive", package(newsroom, ref(story["_id"])))

        assert [(story["guid"], "text", "archive")] == [
            (r["guid"], r["type"], r["location"]) for r in created["groups"][1]["refs"]
        ]
        assert [created["_id"]] == links(admin, story["_id"])
        assert story["_etag"] == admin.get(f"archive/{story['_id']}").get_json()["_etag"]

    def test_refuses_no_groups_at_all(self, admin: Client, newsroom: Newsroom) -> None:
        """Resources scenario R50: an empty list is a schema error."""
        answer = admin.post("archive", newsroom.story(type="composite", groups=[]))

        assert (400, {"groups": {"minlength": 1}}) == (
            answer.status_code,
            answer.get_json()["_issues"],
        )

    @pytest.mark.parametrize(
        ("sent", "status", "message"),
        [
            ([{"role": "x", "refs": []}], 403, "Group is missing id."),
            ([{"id": "main", "refs": []}], 403, "Root group is missing."),
            ([*groups(), groups()[0]], 403, "Only one root group is allowed."),
            ([*groups(), groups()[1]], 403, "main group is added multiple times."),
            ([*groups(), {"id": "side", "refs": []}], 403, COUNTS),
            (
                [groups()[0], {"id": "side", "refs": []}],
                403,
                "Not all groups are referenced in the root group.",
            ),
            (groups(ref("a"), ref("a")), 403, "Content associated multiple times"),
            (groups(ref("p")), 403, "Trying to self reference as an association."),
            (groups(ref("nowhere")), 404, "Invalid item reference: nowhere"),
            (groups(ref("")), 400, "Package contains empty ResidRef!"),
            (groups(ref("a", location="users")), 400, "Invalid location of a package item: users"),
        ],
    )
    def test_refuses_groups_that_do_not_hang_together(
        self, admin: Client, newsroom: Newsroom, sent: Any, status: int, message: str
    ) -> None:
        """Each rule has its status and its text, with the real status in a POST.

        Resources scenario R50.
        """
        body = newsroom.story(type="composite", _id="p", guid="p", groups=sent)

        answer = admin.post("archive", body)

        assert (status, message) == (answer.status_code, answer.get_json()["_message"])

    def test_refuses_personal_packages(self, admin: Client) -> None:
        """Lifecycle contract 1.9: a package is on a desk."""
        answer = admin.post("archive", {"type": "composite"})

        assert (403, "Packages can not be created in the personal space.") == (
            answer.status_code,
            answer.get_json()["_message"],
        )

    def test_an_item_may_stand_in_two_groups_of_a_new_package(
        self, admin: Client, newsroom: Newsroom, story: dict[str, Any]
    ) -> None:
        """On create an item is unique in its group, on PATCH in the package.

        Lifecycle contract 1.9.
        """
        both = groups(ref(story["_id"]))
        both[0]["refs"].append({"idRef": "side"})
        both.append({"id": "side", "refs": [ref(story["_id"])]})

        created = admin.create("archive", newsroom.story(type="composite", groups=both))
        answer = admin.patch(f"archive/{created['_id']}", {"groups": created["groups"]})

        assert "403: Content associated multiple times" == answer.get_json()["_issues"][REFUSED]


class TestSave:
    def test_keeps_the_links_in_step(self, admin: Client, newsroom: Newsroom) -> None:
        """Resources scenario R51: a ref that goes takes the link of its item along."""
        first, second = (admin.create("archive", newsroom.story()) for _ in range(2))
        created = admin.create("archive", package(newsroom, ref(first["_id"])))

        saved = admin.patch(f"archive/{created['_id']}", {"groups": groups(ref(second["_id"]))})

        assert 200 == saved.status_code
        assert ([], [created["_id"]]) == (links(admin, first["_id"]), links(admin, second["_id"]))

    def test_refuses_cycles(self, admin: Client, newsroom: Newsroom, story: dict[str, Any]) -> None:
        """A package that holds this one, at any distance, cannot be in it.

        Resources scenario R51.
        """
        inner = admin.create("archive", package(newsroom, ref(story["_id"])))
        middle = admin.create("archive", package(newsroom, ref(inner["_id"])))
        outer = admin.create("archive", package(newsroom, ref(middle["_id"])))

        answer = admin.patch(f"archive/{inner['_id']}", {"groups": groups(ref(outer["_id"]))})

        message = f"Trying to create a circular reference to: {outer['_id']}"
        assert (400, message) == (answer.status_code, answer.get_json()["_issues"][REFUSED])

    def test_names_the_status_in_the_text(
        self, admin: Client, newsroom: Newsroom, story: dict[str, Any]
    ) -> None:
        """A PATCH always answers 400, with the status in front of the message.

        Resources scenario R50.
        """
        created = admin.create("archive", package(newsroom, ref(story["_id"])))

        answer = admin.patch(f"archive/{created['_id']}", {"groups": groups()[1:]})

        assert (400, "403: Root group is missing.") == (
            answer.status_code,
            answer.get_json()["_issues"][REFUSED],
        )

    def test_refuses_a_footer(self, admin: Client, newsroom: Newsroom) -> None:
        """Lifecycle contract 3.3 row 5: packages carry no public service announcements."""
        created = admin.create("archive", package(newsroom))
        text = "Package doesn't support Public Service Announcements"

        posted = admin.post("archive", package(newsroom, body_footer="<p>call us</p>"))
        saved = admin.patch(f"archive/{created['_id']}", {"body_footer": "<p>call us</p>"})

        assert (400, text) == (posted.status_code, posted.get_json()["_message"])
        assert f"400: {text}" == saved.get_json()["_issues"][REFUSED]

    def test_members_cannot_be_scheduled(
        self, admin: Client, newsroom: Newsroom, story: dict[str, Any]
    ) -> None:
        """Lifecycle contract 3.3 row 8: a member gets no time of its own."""
        admin.create("archive", package(newsroom, ref(story["_id"])))

        answer = admin.patch(
            f"archive/{story['_id']}", {"publish_schedule": "2099-01-01T00:00:00+0000"}
        )

        assert answer.get_json()["_issues"][REFUSED] == (
            "400: This item is in a package and it needs to be removed "
            "before the item can be scheduled!"
        )

    def test_is_not_linked_when_the_save_is_refused(
        self, admin: Client, newsroom: Newsroom, story: dict[str, Any]
    ) -> None:
        """A refused write changes nothing at the members."""
        created = admin.create("archive", package(newsroom))

        admin.patch(f"archive/{created['_id']}", {"groups": groups(ref(story["_id"]), ref("none"))})

        assert [] == links(admin, story["_id"])


class TestEmbargo:
    LATER = "2099-01-01T00:00:00+0000"

    def test_a_package_has_none(self, admin: Client, newsroom: Newsroom) -> None:
        """Lifecycle scenario 42: an embargo on the package is refused on POST and PATCH."""
        created = admin.create("archive", package(newsroom))
        text = "A Package doesn't support Embargo"

        posted = admin.post("archive", package(newsroom, embargo=self.LATER))
        saved = admin.patch(f"archive/{created['_id']}", {"embargo": self.LATER})

        assert (400, text) == (posted.status_code, posted.get_json()["_message"])
        assert f"400: {text}" == saved.get_json()["_issues"][REFUSED]

    def test_nor_has_any_member(self, admin: Client, newsroom: Newsroom) -> None:
        """Lifecycle scenario 42: members under embargo are found at any depth, and named."""
        inner_story = admin.create("archive", newsroom.story())
        inner = admin.create("archive", package(newsroom, ref(inner_story["_id"])))
        admin.patch(f"archive/{inner_story['_id']}", {"embargo": self.LATER})

        answer = admin.post("archive", package(newsroom, ref(inner["_id"])))

        assert answer.get_json()["_message"] == (
            "Package can't have item which has embargo. Slugline/Unique Name of the item "
            f"having embargo: rivers/{inner_story['unique_name']}"
        )


class TestSpike:
    def test_members_cannot_be_spiked_and_a_spiked_package_lets_them_go(
        self, admin: Client, newsroom: Newsroom, story: dict[str, Any]
    ) -> None:
        """The package's groups move to `deleted_groups`, and back on unspike.

        Lifecycle scenario 72.
        """
        created = admin.create("archive", package(newsroom, ref(story["_id"])))

        refused = admin.patch(f"archive/spike/{story['_id']}", {"state": "spiked"})
        spiked = admin.patch(f"archive/spike/{created['_id']}", {"state": "spiked"}).get_json()

        assert 400 == refused.status_code
        assert ([], created["groups"]) == (spiked["groups"], spiked["deleted_groups"])
        assert [] == links(admin, story["_id"])
        restored = admin.patch(f"archive/unspike/{created['_id']}", {}).get_json()
        assert created["groups"] == restored["groups"]
        assert [created["_id"]] == links(admin, story["_id"])
