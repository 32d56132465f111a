"""What is remembered about a receiver's media."""

from transmitters.media_memory import MediaMemory


class Timer:
    """Monotonic seconds that move when told."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def test_remembers() -> None:
    """An id that was added is known, others are not."""
    memory = MediaMemory()
    memory.add("a")

    assert "a" in memory
    assert "b" not in memory


def test_forgets_after_a_time() -> None:
    """An id is forgotten when its time is over, counted from the last time it was added."""
    timer = Timer()
    memory = MediaMemory(seconds=10, clock=timer)
    memory.add("a")
    timer.now += 9
    memory.add("a")
    timer.now += 9
    known = "a" in memory
    timer.now += 1

    assert known
    assert "a" not in memory


def test_is_bounded() -> None:
    """Beyond its capacity the memory forgets the id that was added longest ago."""
    memory = MediaMemory(capacity=2)
    for media_id in ("a", "b", "a", "c"):
        memory.add(media_id)

    assert [media_id for media_id in "abc" if media_id in memory] == ["a", "c"]
