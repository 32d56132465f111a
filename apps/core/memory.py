"""Memory of processes that run for long."""

import gc


def settle_memory() -> None:
    """Keep what the process has built so far out of all garbage collections to come.

    Modules and services stay until the process ends. Walking through them costs as much as some
    hundred deliveries, and whoever reads large sets of rules would make it happen again and again.
    """
    gc.collect()
    gc.freeze()
