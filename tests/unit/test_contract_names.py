"""Names that clients, operators and other programs rely on."""

from importlib import import_module

import pytest

from apps.celery import registered_tasks
from apps.commands import COMMANDS, cli
from apps.publish.content.common import BasePublishService

CLASSES = [
    "apps.publish.content.publish.ArchivePublishService",
    "apps.publish.content.correct.CorrectPublishService",
    "apps.publish.content.kill.KillPublishService",
    "apps.publish.content.unpublish.UnpublishService",
    "apps.publish.content.take_down.TakeDownPublishService",
]


@pytest.mark.parametrize("path", CLASSES)
def test_the_publish_services_stand_under_their_names(path: str) -> None:
    """The class paths of the publishing flow are part of the interface."""
    module, _, name = path.rpartition(".")

    assert issubclass(getattr(import_module(module), name), BasePublishService)


@pytest.mark.parametrize(
    "path",
    [
        "apps.publish.content.common.BasePublishService",
        "apps.validate.validate.ValidateService",
        "apps.publish.enqueue.EnqueueContent",
        "apps.publish.enqueue.enqueue_published",
        "apps.publish.enqueue.enqueue_services",
        "apps.publish.transmit.transmit",
    ],
)
def test_other_names_of_the_flow_can_be_imported(path: str) -> None:
    """What the description of the publishing flow names is there."""
    module, _, name = path.rpartition(".")

    assert hasattr(import_module(module), name)


def test_tasks_have_their_fixed_names() -> None:
    """Celery tasks are called by name from outside, and wait in queues under their names."""
    names = {
        "apps.publish.enqueue.enqueue_published",
        "apps.publish.transmit.transmit",
        "apps.publish.transmit.transmit_priority",
        "apps.mail.send_mails",
        "apps.archive.content_expiry",
        "content_api.commands.item_expiry",
        "apps.legal_archive.import_legal_archive",
        "apps.legal_archive.import_legal_publish_queue",
        "publisher.deploy",
        "publisher.dispatch",
        "publisher.sync_taxonomies",
        "publisher.verify",
        "publisher.cleanup",
    }
    enqueue = import_module("apps.publish.enqueue").enqueue_published
    transmit = import_module("apps.publish.transmit").transmit

    assert "apps.publish.enqueue.enqueue_published" == enqueue.name
    assert "apps.publish.transmit.transmit" == transmit.name
    assert names == set(registered_tasks())


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_can_be_loaded_and_says_what_it_does(name: str) -> None:
    """`manage.py --help` lists commands that exist, each with a line of help."""
    context = cli.make_context("manage.py", ["--help"], resilient_parsing=True)
    command = cli.get_command(context, name)

    assert command is not None
    assert command.get_short_help_str()
