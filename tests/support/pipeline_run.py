"""A process that runs one step of the pipeline: `python -m tests.support.pipeline_run STEP`.

`enqueue` and `transmit` are those of the commands; `poisoned` is a transmit run with the delivery
types `poison`, which ends the process when it is handed an item whose id says so, and `deadly`,
which kills it once.
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import settings as settings_module
from apps.celery import create_celery
from apps.graph.build import build_graph
from apps.publish.transmit import TransmitContent
from apps.secrets.vault import Vault
from apps.store.sequences import Sequences
from transmitters import HTTPPushTransmitter, build_registry
from transmitters.base import Delivery, Receipt


class PoisonTransmitter(HTTPPushTransmitter):
    """An HTTP push that dies of some items, as of a fault in a library."""

    type = "poison"
    name = "Poison"
    errors: ClassVar[dict[int, str]] = {}

    def send(self, delivery: Delivery) -> Receipt:
        if delivery.item_id.endswith("poison"):
            os._exit(9)
        return super().send(delivery)


class DeadlyTransmitter(HTTPPushTransmitter):
    """An HTTP push whose process is killed once, at a delivery of a certain item.

    Of `config`: `item` is its id; `moment` says when, `before` it is sent or `after` it was
    accepted, and never where it is anything else; the file `mark` is there once it has happened.
    """

    type = "deadly"
    name = "Deadly"
    errors: ClassVar[dict[int, str]] = {}

    def send(self, delivery: Delivery) -> Receipt:
        self._die("before", delivery)
        receipt = super().send(delivery)
        self._die("after", delivery)
        return receipt

    def _die(self, moment: str, delivery: Delivery) -> None:
        config = self.destination.config
        mark = Path(str(config["mark"]))
        wanted = (config["moment"], config["item"])
        if wanted == (moment, delivery.item_id) and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def main(step: str) -> int:
    """Run one step to its end; return the status of the process."""
    graph = build_graph(settings_module.load())
    create_celery(graph.settings, lambda: graph)
    if step == "poisoned":
        registry = build_registry()
        registry.add(PoisonTransmitter)
        registry.add(DeadlyTransmitter)
        poisoned = TransmitContent(
            graph.db,
            graph.clock,
            sequences=Sequences(graph.db),
            transmitters=registry,
            vault=Vault.of(graph.settings),
            media=graph.media,
            notifier=graph.notifier,
            counters=graph.counters,
            settings=graph.settings,
        )
        graph = replace(graph, transmit=poisoned)
    run = graph.enqueue if step == "enqueue" else graph.transmit
    run.run()
    graph.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
