"""Groups of plain tasks, which the client keeps together by itself."""

import pytest
from celery import chain, chord, group
from celery.result import GroupResult

from harness.program import PATIENCE_SECS
from pyapp.celery_app import make_app

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


# How both sides are told to write results.
FORMATS = ["msgpack", "yaml", "zlib"]


def saved_by_python(place, prefix, queue):
    """A group after a task, saved."""
    add = place.app.signature(f"{prefix}.add", queue=queue)
    members = group([add.clone((n,)) for n in (1, 2, 3)], app=place.app)
    result = chain(add.clone((1, 1)), members, app=place.app).apply_async()
    result.save()
    return result


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_aipo_restores_what_python_saved(duo, prefix, queue):
    result = saved_by_python(duo, prefix, queue)

    assert duo.run("interop.restore_group", result.id) == {
        "id": result.id,
        "members": [member.id for member in result],
        "parent": result.parent.id,
        "values": [3, 4, 5],
        "ready": True,
        "successful": True,
        "completed": 3,
    }
    assert duo.run("interop.delete_group", result.id) is True
    assert not duo.redis.exists(f"celery-taskset-meta-{result.id}")
    assert duo.run("interop.restore_group", result.id) is None
    assert duo.run("interop.delete_group", result.id) is False


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_python_restores_what_aipo_saved(duo, prefix, queue):
    group_id = duo.run("interop.save_group", f"{prefix}.add", queue, [1, 2, 3])
    assert 0 < duo.redis.ttl(f"celery-taskset-meta-{group_id}") <= 24 * 60 * 60

    result = GroupResult.restore(group_id, app=duo.app)

    assert result.id == group_id
    assert result.parent.get(timeout=PATIENCE_SECS) == 2
    assert [child.get(timeout=PATIENCE_SECS) for child in result.children] == [3, 4, 5]
    assert result.join(timeout=PATIENCE_SECS) == result.get(timeout=PATIENCE_SECS) == [3, 4, 5]
    assert result.ready() and result.successful() and result.completed_count() == 3
    told = duo.run("interop.restore_group", group_id)
    assert told["parent"] == result.parent.id
    assert told["members"] == [child.id for child in result.children]
    result.delete()
    assert duo.run("interop.restore_group", group_id) is None


@pytest.mark.parametrize(("prefix", "queue"), SIDES)
def test_a_chord_whose_group_is_saved_ends_as_ever(duo, prefix, queue):
    gate = duo.gate()
    header = [
        duo.app.signature(f"{prefix}.add", (1, 2), queue=queue),
        duo.app.signature(f"{prefix}.hold", (gate.path,), queue=queue),
    ]
    body = duo.app.signature(f"{prefix}.echo", queue=queue)
    result = chord(header, app=duo.app)(body)
    gate.wait_until_somebody_waits()
    result.parent.save()
    gate.open()

    assert result.get(timeout=PATIENCE_SECS) == [3, "open"]
    assert duo.run("interop.restore_group", result.parent.id)["values"] == [3, "open"]


@pytest.mark.parametrize("written", FORMATS)
def test_groups_are_saved_as_results_are(new_place, written):
    conf = {"result_compression" if written == "zlib" else "result_serializer": written}
    place = new_place(**conf, result_accept_content=["json", "msgpack", "yaml"])
    try:
        place.aipo_worker("rust", **conf)
        result = saved_by_python(place, "interop", "rust")
        assert place.run("interop.restore_group", result.id)["values"] == [3, 4, 5]
        group_id = place.run("interop.save_group", "interop.add", "rust", [1, 2])
        restored = GroupResult.restore(group_id, app=place.app)
        assert restored.join(timeout=PATIENCE_SECS) == [3, 4]
    finally:
        place.close()


def test_groups_are_saved_where_results_are(place):
    prefix = {"result_backend_transport_options": {"global_keyprefix": "res"}}
    app = make_app(place.url, **prefix)
    place.aipo_worker("rust", broker_url=f"{place.url}?result_keyprefix=res")
    saved = app.send_task("interop.save_group", ("interop.add", "rust", [1]), queue="rust")
    group_id = saved.get(timeout=PATIENCE_SECS)

    assert GroupResult.restore(group_id, app=app).join(timeout=PATIENCE_SECS) == [3]
    [key] = place.redis.scan_iter("*taskset*")
    assert key == f"res_celery-taskset-meta-{group_id}"
    app.close()


@pytest.mark.parametrize(("spawn", "queue"), [("interop.spawn", "rust"), ("py.spawn", "python")])
def test_aipo_collects_what_a_task_led_to(duo, spawn, queue):
    inner = ["py.add", [1, 2], "python", 2]
    result = duo.send(spawn, "interop.spawn", inner, "rust", 1, queue=queue)

    values, is_complete = duo.run("interop.collect", result.id)

    assert is_complete
    assert values == [value for _, value in result.collect(timeout=PATIENCE_SECS)]
    [child] = result.children
    assert values == [[child.id], [leaf.id for leaf in child.children], 3, 3]
