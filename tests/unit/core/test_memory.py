"""What a process builds at its start, and the garbage collector."""

import gc

from apps.core.memory import settle_memory


def test_what_is_there_is_left_alone_from_then_on() -> None:
    """Collections walk through what came later, and through nothing else."""
    kept = [[]]
    try:
        settle_memory()
        later = [[]]

        walked = {id(found) for found in gc.get_objects()}
        assert id(kept) not in walked
        assert id(later) in walked
    finally:
        gc.unfreeze()
