"""Groups of plain tasks, which the client keeps together by itself."""

import pytest
from celery import group
from celery.result import GroupResult

from harness.program import PATIENCE_SECS

SIDES = [("interop", "rust"), ("py", "python")]


def adds(place, prefix, queue, count=5):
    sums = [place.app.signature(f"{prefix}.add", (n, 1), queue=queue) for n in range(count)]
    return group(sums, app=place.app)


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_a_group_is_joined_in_order(duo, prefix, queue):
    result = adds(duo, prefix, queue).apply_async()

    assert result.get(timeout=PATIENCE_SECS) == [1, 2, 3, 4, 5]
    assert result.ready() and result.successful() and result.completed_count() == 5
    assert {task_id for task_id, _ in result.iter_native(timeout=PATIENCE_SECS)} == {r.id for r in result}


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_members_know_their_group(duo, prefix, queue):
    result = adds(duo, prefix, queue).apply_async()
    result.get(timeout=PATIENCE_SECS)

    for member in result:
        assert duo.app.backend.get_task_meta(member.id)["group_id"] == result.id


def test_members_know_their_place_in_the_group(duo):
    requests = [duo.app.signature("interop.request", queue="rust") for _ in range(3)]
    result = group(requests, app=duo.app).apply_async()

    told = result.get(timeout=PATIENCE_SECS)
    assert [request["group"] for request in told] == [result.id] * 3
    assert [request["group_index"] for request in told] == [0, 1, 2]


def test_a_group_runs_on_both(duo):
    calls = [("interop.add", "rust"), ("py.add", "python")] * 10
    sums = [duo.app.signature(task, (n, 0), queue=queue) for n, (task, queue) in enumerate(calls)]
    result = group(sums, app=duo.app).apply_async()

    assert result.get(timeout=PATIENCE_SECS) == list(range(20))


def test_a_group_can_be_saved_and_restored(duo):
    result = adds(duo, "interop", "rust").apply_async()
    result.save()

    restored = GroupResult.restore(result.id, app=duo.app)
    assert restored.get(timeout=PATIENCE_SECS) == [1, 2, 3, 4, 5]
    restored.delete()
    assert GroupResult.restore(result.id, app=duo.app) is None


def test_a_member_that_fails_is_told(duo):
    calls = [("interop.add", (1, 1)), ("interop.fail", ("bad",)), ("interop.add", (2, 2))]
    members = [duo.app.signature(task, args, queue="rust") for task, args in calls]
    result = group(members, app=duo.app).apply_async()

    with pytest.raises(ValueError, match="bad"):
        result.get(timeout=PATIENCE_SECS)
    assert result.get(timeout=PATIENCE_SECS, propagate=False)[::2] == [2, 4]
    assert result.failed() and not result.successful()


def test_a_result_set_and_forgetting(duo):
    result = adds(duo, "interop", "rust", 3).apply_async()
    assert result.join(timeout=PATIENCE_SECS) == [1, 2, 3]

    result.forget()

    assert not any(duo.redis.exists(f"celery-task-meta-{member.id}") for member in result)
