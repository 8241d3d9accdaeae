"""Revoking, by Celery's control commands and by aipo's."""

import pytest
from celery.exceptions import TaskRevokedError

from harness.program import PATIENCE_SECS

SIDES = [("interop", "rust"), ("py", "python")]


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

    assert ok_of(result.revoke(wait=True, timeout=5), f"{queue}@here")
    for gate in gates:
        gate.open()

    for other in held:
        assert other.get(timeout=PATIENCE_SECS) == "open"
    assert revoked(result, "revoked")


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_a_task_that_was_not_sent_yet(duo, prefix, queue):
    duo.app.control.revoke(f"later-{queue}", reply=True, timeout=5)

    assert revoked(duo.send(f"{prefix}.add", 1, 2, queue=queue, task_id=f"later-{queue}"), "revoked")


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
@pytest.mark.parametrize("signal", ["SIGTERM", "SIGKILL"])
def test_a_task_that_runs(duo, prefix, queue, signal):
    gate = duo.gate()
    result = duo.send(f"{prefix}.endless", gate.path, queue=queue)
    assert gate.read() == "running"

    replies = result.revoke(terminate=True, signal=signal, wait=True, timeout=5)

    assert ok_of(replies, f"{queue}@here") == f"terminate: {result.id}"
    assert revoked(result, "terminated")
    assert duo.run(f"{prefix}.add", 1, 2, queue=queue) == 3


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_a_revoke_without_terminate_lets_a_running_task_be(duo, prefix, queue):
    gate = duo.gate()
    result = duo.send(f"{prefix}.hold", gate.path, queue=queue)
    gate.wait_until_somebody_waits()
    result.revoke(wait=True, timeout=5)
    gate.open()

    # The revoke has told REVOKED at once or not; what the task returns is what counts.
    duo.send(f"{prefix}.add", 1, 2, queue=queue).get(timeout=PATIENCE_SECS)
    assert duo.aipo_result(result.id, status=duo.exit_of(result))["task_id"] == result.id


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_a_task_with_an_eta(duo, prefix, queue):
    result = duo.send(f"{prefix}.add", 1, 2, queue=queue, countdown=3600)
    result.revoke(wait=True, timeout=5)

    assert revoked(result, "revoked")


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_several_at_once(duo, prefix, queue):
    ids = [f"{queue}-{n}" for n in range(3)]
    duo.app.control.revoke(ids, reply=True, timeout=5)

    for task_id in ids:
        assert revoked(duo.send(f"{prefix}.add", 1, 2, queue=queue, task_id=task_id), "revoked")


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_by_stamps(duo, prefix, queue):
    duo.app.control.revoke_by_stamped_headers({"customer": [queue]}, reply=True, timeout=5)
    call = duo.app.signature(f"{prefix}.add", (1, 2), queue=queue).stamp(customer=queue)
    other = duo.app.signature(f"{prefix}.add", (1, 2), queue=queue).stamp(customer="another")

    assert revoked(call.apply_async(), "revoked")
    assert other.apply_async().get(timeout=PATIENCE_SECS) == 3


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_a_revoke_by_aipo(duo, prefix, queue):
    result = duo.send(f"{prefix}.add", 1, 2, queue=queue, countdown=3600)
    duo.aipo("revoke", result.id)

    assert revoked(result, "revoked")


def test_a_revoke_reaches_a_worker_that_starts_later(place):
    """Celery forgets what no worker heard; aipo does not."""
    place.aipo("revoke", "early")
    result = place.send("interop.add", 1, 2, task_id="early")
    place.aipo_worker("rust")

    assert revoked(result, "revoked")


def ok_of(replies, node):
    """What a node answered to a control command."""
    [answer] = [reply[node] for reply in replies if node in reply]
    return answer["ok"]
