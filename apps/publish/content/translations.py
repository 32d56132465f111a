"""Those who translated a story are told that it was corrected (lifecycle contract 5.6)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from apps.archive.journal.follow_ups import insertion
from apps.core.documents import object_of
from apps.core.ids import id_key
from apps.core.service import Document
from apps.core.text import plain_text
from apps.core.vocabulary import GONE_STATES
from apps.newsroom.activity.activities import CONTACT, new_activity, wants_mail
from apps.store.by_id import find_all_by_id
from apps.store.collections import ARCHIVE, USERS

NAME = "translated:changed"
MESSAGE = 'The story "{{ headline }}" has been corrected; you translated it to {{ language }}'


class Translations:
    """The translations of a corrected item and the people behind them; two commands.

    Args:
        db: the database.
        item: the item as it will be stored.
        user_id: who corrects it.
    """

    def __init__(
        self, db: Database[Document], item: Mapping[str, Any], user_id: ObjectId | None
    ) -> None:
        self._item = item
        wanted = {"_id": {"$in": list(item["translations"])}, "state": {"$nin": list(GONE_STATES)}}
        fields = ("version_creator", "task", "headline", "slugline", "unique_name", "language")
        self._items = list(db[ARCHIVE].find(wanted, dict.fromkeys(fields, 1)).sort("_id", 1))
        ids = {id_ for translation in self._items for id_ in translator_ids(translation)}
        self._people = find_all_by_id(db[USERS], [*ids, user_id], CONTACT)
        self._author = self._people.get(user_id)

    def activities(self, now: datetime) -> list[Document]:
        """Return the follow-ups that tell the translators, one for each translation."""
        return [
            insertion(
                "activity",
                new_activity(
                    NAME,
                    MESSAGE,
                    now=now,
                    recipients=[person["_id"] for person in people],
                    item=translation,
                    user=self._author,
                    headline=self._headline,
                    language=translation.get("language"),
                    original=self._item["_id"],
                    version=self._item.get("_current_version"),
                ),
            )
            for translation in self._items
            if (people := self._translators(translation))
        ]

    def mail(self) -> Document | None:
        """Return `{subject, text, to}` for those who want mails; None when nobody does."""
        people = {
            person["_id"]: person for item in self._items for person in self._translators(item)
        }
        to = [[person["email"]] for person in people.values() if wants_mail(person)]
        if not to:
            return None
        author = (self._author or {}).get("display_name") or "Somebody"
        lines = [f"- {_called(item)} ({item.get('language')})" for item in self._items]
        text = f'{author} has corrected "{self._headline}". Its translations:\n\n'
        body = plain_text(self._item.get("body_html"), line_feeds=True)
        return {
            "subject": f"Corrected: {self._headline}",
            "text": text + "\n".join(lines) + f"\n\nThe story now reads:\n\n{body}\n",
            "to": to,
        }

    @property
    def _headline(self) -> str:
        return _called(self._item)

    def _translators(self, translation: Mapping[str, Any]) -> Sequence[Document]:
        """Return who works, or worked, on a translation, without who corrects the story."""
        known = [p for i in translator_ids(translation) if (p := self._people.get(i)) is not None]
        return [p for p in known if p is not self._author and p.get("is_active") is not False]


def translator_ids(translation: Mapping[str, Any]) -> list[Any]:
    """Return the ids of who saved the translation last and of who it is assigned to.

    Its `original_creator` is that of the story.
    """
    named = (translation.get("version_creator"), object_of(translation, "task").get("user"))
    return list({id_key(id_): id_ for id_ in named if id_}.values())


def _called(item: Mapping[str, Any]) -> str:
    name = item.get("headline") or item.get("slugline") or item.get("unique_name") or item["_id"]
    return " ".join(plain_text(str(name)).split())
