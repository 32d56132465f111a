"""The Celery task that carries out deployments."""

from apps.core.tasks import GraphTask, task
from apps.publisher.run.tasks import QUEUE

HALF_A_MINUTE = 30


@task("publisher.deploy", queue=QUEUE, every=HALF_A_MINUTE)
def deploy(self: GraphTask) -> int:
    """Take deployments on. At once when one is started, and when a wish of one is carried out."""
    return self.graph.deployment_run.run()
