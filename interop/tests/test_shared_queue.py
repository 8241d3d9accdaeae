"""Workers of both kinds on one queue, with tasks that both know."""

import json
from collections import Counter

import pytest

from harness.program import PATIENCE_SECS

COUNT = 2000


def test_every_task_runs_exactly_once(place):
    file = place.folder / "marks"
    calls = [
        {"task": "shared.mark", "args": [str(file), f"aipo-{n}"], "queue": "both"} for n in range(COUNT // 2)
    ]
    ids = place.aipo_send_all(calls)
    with place.app.producer_or_acquire() as producer:
        sent = [
            place.send("shared.mark", str(file), f"python-{n}", queue="both", producer=producer)
            for n in range(COUNT // 2)
        ]
    place.aipo_worker("both", concurrency=4)
    place.python_worker("both", concurrency=2)

    results = [place.app.AsyncResult(task_id) for task_id in ids] + sent
    for result in results:
        assert result.get(timeout=PATIENCE_SECS) is None
    runs = Counter(line.split()[1] for line in file.read_text().splitlines())
    expected = {f"{sender}-{n}" for sender in ("aipo", "python") for n in range(COUNT // 2)}
    assert runs.keys() == expected
    assert set(runs.values()) == {1}


def test_both_take_from_the_queue(place):
    """Each worker has one slot. Two tasks that wait for each other occupy both."""
    place.aipo_worker("both", concurrency=1)
    place.python_worker("both", concurrency=1, worker_prefetch_multiplier=1, task_acks_late=True)
    gates = [place.gate(), place.gate()]
    results = [place.send("shared.hold", gate.path, queue="both") for gate in gates]

    for gate in gates:
        gate.wait_until_somebody_waits()
    for gate in gates:
        gate.open()
    for result in results:
        assert result.get(timeout=PATIENCE_SECS) == "open"


@pytest.mark.parametrize("kind", ["rust", "python"])
def test_priorities_keep_their_order(place, kind):
    """Sent in the wrong order before the worker starts, to lists of all four steps."""
    file = place.folder / "marks"
    sent = [9, 7, 6, 5, 3, 2, 1, 0, 4, 8]
    for n in sent[:5]:
        place.send("shared.mark", str(file), str(n), queue="both", priority=n)
    results = [
        place.aipo_send("shared.mark", str(file), str(n), queue="both", priority=n) for n in sent[5:]
    ]
    start = {"rust": place.aipo_worker, "python": place.python_worker}[kind]
    start("both", concurrency=1)
    for result in results:
        result.get(timeout=PATIENCE_SECS)
    last = place.send("shared.mark", str(file), "last", queue="both", priority=9)
    last.get(timeout=PATIENCE_SECS)

    ran = [line.split()[1] for line in file.read_text().splitlines()]
    steps = {0: 0, 1: 0, 2: 0, 3: 3, 4: 3, 5: 3, 6: 6, 7: 6, 8: 6, 9: 9}
    expected = sorted(sent, key=steps.__getitem__)  # Stable: within a step as sent.
    assert ran == [str(n) for n in expected] + ["last"]


def test_a_python_worker_gives_up_what_only_aipo_knows(place):
    """Why the guide says that a shared queue needs every name on both sides."""
    result = place.send("interop.add", 1, 2, queue="both")
    place.python_worker("both")

    told = place.aipo_result(result.id, status=3)
    assert told["result"]["exc_type"] == "NotRegistered"


def test_aipo_keeps_what_only_python_knows_among_the_dead_letters(place):
    """The caller gets the same answer as from Python, and the message is not lost."""
    result = place.send("py.add", 1, 2, queue="both")
    worker = place.aipo_worker("both")
    assert place.aipo_result(result.id, status=3)["result"]["exc_type"] == "NotRegistered"
    assert worker.stop() == 0

    letters = json.loads(place.aipo("queues", "dead", "--json"))
    assert [letter["task_id"] for letter in letters] == [result.id]
    place.aipo("queues", "redrive", "--all")
    result.forget()
    place.python_worker("both")
    assert place.aipo_result(result.id)["result"] == 3


def test_what_a_stopped_python_worker_held_is_run_by_aipo(place):
    """A Python worker that stops gives back what it has fetched ahead."""
    gate = place.gate()
    held = place.send("shared.hold", gate.path, queue="both")
    worker = place.python_worker("both", concurrency=1)
    gate.wait_until_somebody_waits()
    others = [place.send("shared.who", queue="both") for _ in range(3)]
    worker.wait_for_line(others[-1].id)
    worker.ask_to_stop()
    worker.wait_for_line("Warm shutdown")
    gate.open()
    assert worker.wait() == 0
    assert held.get(timeout=PATIENCE_SECS) == "open"

    place.aipo_worker("both")

    assert [other.get(timeout=PATIENCE_SECS) for other in others] == ["aipo"] * 3


def test_a_task_with_an_eta_is_run_by_whoever_is_there(place):
    """An aipo worker parks it, a Python worker holds it, and gives it back when it stops."""
    python = place.python_worker("both", concurrency=1)
    result = place.send("shared.who", queue="both", countdown=2)
    python.wait_for_line(f"Task shared.who[{result.id}] received")
    assert python.stop() == 0

    place.aipo_worker("both")

    assert result.get(timeout=PATIENCE_SECS) == "aipo"
