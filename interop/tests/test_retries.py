"""Retries, also from one kind of worker to the other."""

import json

import pytest

from harness.program import PATIENCE_SECS

SIDES = [("interop", "rust"), ("py", "python")]


@pytest.fixture(scope="module")
def duo(new_place):
    """As everywhere, but with one process of Python's: two of them race, as Celery sends a retry before it stores
    RETRY, and one may put it over the SUCCESS of the other."""
    place = new_place()
    try:
        place.rust = place.aipo_worker("rust")
        place.python = place.python_worker("python", concurrency=1)
        yield place
    finally:
        place.close()


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_explicit_retries(duo, prefix, queue):
    assert duo.run(f"{prefix}.retry_twice", queue=queue) == 2
    assert duo.aipo_run(f"{prefix}.retry_twice", queue=queue) == 2


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_automatic_retries(duo, prefix, queue):
    assert duo.run(f"{prefix}.retry_automatically", 3, queue=queue) == 2
    assert duo.aipo_run(f"{prefix}.retry_automatically", 3, queue=queue) == 2


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_automatic_retries_that_run_out(duo, prefix, queue):
    result = duo.send(f"{prefix}.retry_automatically", 4, queue=queue)

    with pytest.raises(Exception, match="invalid"):
        result.get(timeout=PATIENCE_SECS)
    assert result.state == "FAILURE"


def test_a_retry_that_is_to_come_is_told_with_its_cause(duo):
    result = duo.send("interop.retry_later")
    duo.wait_for_state(result, "RETRY")

    assert result.state == "RETRY"
    assert isinstance(result.info, RuntimeError)
    assert str(result.info) == "printer is offline"
    assert result.date_done is None


# What goes with a message through a retry, whoever sends it: as given, and as headers.
KEPT = {
    "task_id": "kept",
    "headers": {"tenant": "a"},
    "shadow": "nickname",
    "root_id": "the-root",
    "time_limit": 50,
    "soft_time_limit": 40,
}
SEEN = {
    "id": "kept",
    "tenant": "a",
    "shadow": "nickname",
    "root_id": "the-root",
    "timelimit": [50, 40],
}


@pytest.mark.parametrize("first", ["rust", "python"])
def test_one_kind_of_worker_finishes_what_the_other_began(place, first):
    """The first worker has one slot. The retry goes to the end of the queue, behind a task that holds the
    slot until the worker has been asked to stop; so the other worker makes the second attempt."""
    workers = {
        "rust": lambda: place.aipo_worker("both", concurrency=1),
        "python": lambda: place.python_worker("both", concurrency=1, worker_prefetch_multiplier=1),
    }
    gate = place.gate()
    result = place.send("shared.second_attempt", queue="both", **KEPT)
    held = place.send("shared.hold", gate.path, queue="both")
    worker = workers[first]()
    gate.wait_until_somebody_waits()
    place.wait_for_state(result, "RETRY")

    worker.ask_to_stop()
    worker.wait_for_line({"rust": "stopping:", "python": "Warm shutdown"}[first])
    gate.open()
    assert worker.wait() == 0
    retry = waiting(place, "both")
    assert retry["retries"] == 1
    assert retry["parent_id"] == retry["id"] == "kept"
    assert {name: retry[name] for name in SEEN} == SEEN
    second = "python" if first == "rust" else "rust"
    workers[second]()

    by = {"rust": "aipo", "python": "python"}[second]
    assert result.get(timeout=PATIENCE_SECS) == {"by": by, "retries": 1}
    assert held.get(timeout=PATIENCE_SECS) == "open"


def waiting(place, queue):
    """The headers of the only message of a queue, in whichever list it is."""
    for key in place.redis.scan_iter(f"{queue}*"):
        for envelope in place.redis.lrange(key, 0, -1):
            return json.loads(envelope)["headers"]
    raise AssertionError(f"nothing waits in {queue}: {list(place.redis.scan_iter())}")
