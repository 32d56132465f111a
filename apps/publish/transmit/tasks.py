"""Celery tasks of the transmit run."""

from apps.core.tasks import GraphTask, task


@task("apps.publish.transmit.transmit", queue="transmit")
def transmit(self: GraphTask) -> int:
    """Deliver what is due. Every 10 seconds, and at once after routing made something due.

    In a queue of its own: worker processes serve their queues in turn, so that deliveries that wait
    hold up no routing.
    """
    return self.graph.transmit_turn.run()


@task(
    "apps.publish.transmit.transmit_priority",
    queue="publish_priority",
    setting="HIGH_PRIORITY_QUEUE_ENABLED",
)
def transmit_priority(self: GraphTask) -> int:
    """Route what waits and deliver what is urgent. Every 10 seconds, and at once after a kill.

    In a queue of its own, so that a worker may be kept free for it.
    """
    return self.graph.priority_turn.run()
