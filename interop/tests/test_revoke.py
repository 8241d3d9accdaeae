"""Revoking, by Celery's control commands and by aipo's."""

import pytest
from celery import chord
from celery.exceptions import ChordError, TaskRevokedError

from harness.program import PATIENCE_SECS

SIDES = [("interop", "rust"), ("py", "python")]


NODES = ["rust@here", "python@here"]


def revoke(place, ids, **options):
    """Tells all workers and waits until they have answered; gives the answers by node."""
    replies = place.app.control.revoke(ids, destination=NODES, reply=True, timeout=30, **options)
    return {node: answer["ok"] for reply in replies for node, answer in reply.items()}


def revoked(result, reason):
    with pytest.raises(TaskRevokedError, match=reason):
        result.get(timeout=PATIENCE_SECS)
    return result.state == "REVOKED"


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_a_task_that_waits(duo, prefix, queue):
    """It waits because all slots are taken; the worker hears of the revoke all the same."""
    slots = {"rust": 4, "python": 2}[queue]
    gates = [duo.gate() for _ in range(slots)]
    held = [duo.send(f"{prefix}.hold", gate.path, queue=queue) for gate in gates]
    for gate in gates:
        gate.wait_until_somebody_waits()
    result = duo.send(f"{prefix}.add", 1, 2, queue=queue)

    revoke(duo, result.id)
    for gate in gates:
        gate.open()

    for other in held:
        assert other.get(timeout=PATIENCE_SECS) == "open"
    assert revoked(result, "revoked")


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_a_task_that_was_not_sent_yet(duo, prefix, queue):
    revoke(duo, f"later-{queue}")

    assert revoked(duo.send(f"{prefix}.add", 1, 2, queue=queue, task_id=f"later-{queue}"), "revoked")


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
@pytest.mark.parametrize("signal", ["SIGTERM", "SIGKILL"])
def test_a_task_that_runs(duo, prefix, queue, signal):
    gate = duo.gate()
    result = duo.send(f"{prefix}.endless", gate.path, queue=queue)
    assert gate.read() == "running"

    answers = revoke(duo, result.id, terminate=True, signal=signal)

    assert answers[f"{queue}@here"] == f"terminate: {result.id}"
    assert revoked(result, "terminated")
    assert duo.run(f"{prefix}.add", 1, 2, queue=queue) == 3


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_a_task_that_runs_is_let_be_without_terminate(duo, prefix, queue):
    gate = duo.gate()
    result = duo.send(f"{prefix}.hold", gate.path, queue=queue)
    gate.wait_until_somebody_waits()
    revoke(duo, result.id)
    gate.open("to the end")

    duo.wait_for_state(result, "SUCCESS")
    assert duo.app.AsyncResult(result.id).result == "to the end"


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_a_task_with_an_eta(duo, prefix, queue):
    result = duo.send(f"{prefix}.add", 1, 2, queue=queue, countdown=3600)
    revoke(duo, result.id)

    assert revoked(result, "revoked")


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_several_at_once(duo, prefix, queue):
    ids = [f"{queue}-{n}" for n in range(3)]
    revoke(duo, ids)

    for task_id in ids:
        assert revoked(duo.send(f"{prefix}.add", 1, 2, queue=queue, task_id=task_id), "revoked")


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_by_stamps(duo, prefix, queue):
    duo.app.control.revoke_by_stamped_headers(
        {"customer": [queue]}, destination=NODES, reply=True, timeout=30
    )
    call = duo.app.signature(f"{prefix}.add", (1, 2), queue=queue).stamp(customer=queue)
    other = duo.app.signature(f"{prefix}.add", (1, 2), queue=queue).stamp(customer="another")

    assert revoked(call.apply_async(), "revoked")
    assert other.apply_async().get(timeout=PATIENCE_SECS) == 3


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_a_revoke_by_aipos_control_command(duo, prefix, queue):
    result = duo.send(f"{prefix}.add", 1, 2, queue=queue, countdown=3600)
    duo.aipo("control", "-t", "30", "-d", ",".join(NODES), "revoke", result.id)

    assert revoked(result, "revoked")


def test_a_revoke_by_aipo(duo):
    result = duo.send("interop.add", 1, 2, countdown=3600)
    duo.aipo("revoke", result.id)

    assert revoked(result, "revoked")


def test_a_revoked_part_of_a_chord(place):
    """The worker is busy, so nothing but the revoke ends what waits."""
    place.aipo_worker("rust", concurrency=1)
    gate = place.gate()
    held = place.send("interop.hold", gate.path)
    gate.wait_until_somebody_waits()
    add = place.app.signature("interop.add", (1, 1), queue="rust")
    header = [add, add.clone().set(countdown=3600), add | add.clone((1,))]
    result = chord(header, app=place.app)(place.app.signature("interop.echo", queue="rust"))
    first_of_chain = result.parent[2].parent
    parts = [*result.parent[:2], first_of_chain]

    place.aipo("revoke", *[part.id for part in parts])

    # Of the body alone: `result` would tell of its parents first.
    body = place.app.AsyncResult(result.id)
    with pytest.raises(ChordError, match="TaskRevokedError"):
        body.get(timeout=PATIENCE_SECS)
    for part in [*parts, result.parent[2]]:
        assert revoked(part, "revoked")
    gate.open()
    assert held.get(timeout=PATIENCE_SECS) == "open"


def test_the_first_of_a_chain(duo):
    add = duo.app.signature("interop.add", (1, 1), queue="rust")
    result = (add.clone().set(countdown=3600) | add.clone((1,))).apply_async()
    duo.aipo("revoke", result.parent.id)

    assert revoked(result.parent, "revoked")
    assert revoked(result, "revoked")


def test_a_revoke_by_aipo_reaches_python(duo):
    duo.aipo("revoke", "of-python")

    told = duo.app.control.inspect(destination=NODES, timeout=30).revoked()
    assert "of-python" in told["python@here"]


def test_a_revoke_reaches_a_worker_that_starts_later(place):
    """Celery forgets what no worker heard; aipo does not."""
    place.aipo("revoke", "early")
    result = place.send("interop.add", 1, 2, task_id="early")
    place.aipo_worker("rust")

    assert revoked(result, "revoked")
