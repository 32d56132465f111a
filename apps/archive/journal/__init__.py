"""Writes of an item that span several collections, safe against a crash at any instruction.

A write of an item belongs to several documents: the item, its version row, its history, for publish
actions the published row, and often other items. Every MongoDB server writes one document
atomically; several at once only in a transaction, which needs a replica set. The journal gets along
with the first, so that it works on a standalone server, too (`docs/decisions.md`).

The item is stored first, in one conditional update that also stores a note of everything that is
still to be written. The rest follows. Whatever instruction a process dies at, either nothing has
happened, or the note says what is missing, and the next one that comes by writes it.

note
    The field `journal` of an item: what follows on its last write. It holds the ids and numbers
    of the rows to come; their content is the item's own. So the rest can be written again and again
    with the same result. The note is removed when everything is there. Until then no other write of
    the item goes through without completing this one first. `at` is the time of the write and tells
    notes apart.
follow-up
    A write of another document that follows, as data (`follow_ups.py`). The note lists them in
    order under `follow_ups`.
history
    The audit row that follows, under `history` in the note: `operation`, `user_id`, the names of
    the `changed` fields. Its content is read from the item.
complete
    Write what the note of an interrupted write says, and remove the note.
incomplete
    A write of which something cannot be written, for what a document holds. Its note stays, with
    `attempts`, `error_message` and `retry_at`, before which no run tries it again. Administrators
    are notified once. Follow-ups keep nobody from writing the item: those that are left go over
    into the next note. Where something is missing that is the item's own, the next write is refused
    with the reason.
abandoned
    A note that is older than a few seconds: its process has died. Enqueue and expiry runs complete
    what is abandoned. Whoever wants to write an item completes it at once, whatever its age.
removal
    The end of an item, with everything that belongs to it (`removal.py`). Its note says under
    `removal` whether its published rows are kept in `archived`.

All writes of items go through `journal.Journal`: `write` for a save or an action of an editor,
`create` for a new item, `remove`. A publish action calls `store` and then `add_publication`. Its
note stays until routing has found the published row.
"""
