"""Memory of processes that run for long."""

import gc

THRESHOLDS = (20_000, 20, 20)
"""New objects, and collections of younger ones, after which garbage is looked for. A batch of
deliveries makes many thousand objects, none of which refers to itself: nearly all that is looked at
is in use."""


def settle_memory() -> None:
    """Keep what the process has built so far out of all garbage collections to come.

    Modules and services stay until the process ends. Walking through them costs as much as some
    hundred deliveries, and whoever reads large sets of rules would make it happen again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
