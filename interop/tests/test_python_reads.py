"""Python reads what aipo stored."""

import datetime as dt

import pytest
from celery.exceptions import MaxRetriesExceededError, Reject, TimeLimitExceeded, TimeoutError
from celery.result import AsyncResult

from harness.program import PATIENCE_SECS


def test_a_success_has_all_that_an_async_result_tells(duo):
    before = dt.datetime.now(dt.timezone.utc)
    result = duo.send("interop.add", 2, 2)

    assert result.get(timeout=PATIENCE_SECS) == 4
    assert result.ready() and result.successful() and not result.failed()
    assert (result.state, result.status, result.result, result.info) == ("SUCCESS", "SUCCESS", 4, 4)
    assert result.traceback is None
    assert result.children == []
    assert result.parent is None
    assert before <= result.date_done <= dt.datetime.now(dt.timezone.utc)
    # Another program that knows the id only.
    assert AsyncResult(result.id, app=duo.app).get(timeout=PATIENCE_SECS) == 4


def test_an_id_that_nobody_sent_is_pending(duo):
    result = duo.app.AsyncResult("never-sent")

    assert result.state == "PENDING"
    assert result.result is None
    assert not result.ready()


def test_a_failure_is_raised_as_itself(duo):
    result = duo.send("interop.fail", "bad é")

    with pytest.raises(ValueError, match="^bad é$"):
        result.get(timeout=PATIENCE_SECS)
    assert result.failed() and not result.successful()
    assert isinstance(result.result, ValueError)
    assert result.get(propagate=False).args == ("bad é",)
    assert result.date_done is not None
    assert result.traceback is None or "bad é" in result.traceback


def test_arguments_of_an_exception_are_kept(duo):
    result = duo.send("interop.fail_as", "builtins", "OSError", [2, "no such file"])

    with pytest.raises(FileNotFoundError) as raised:
        result.get(timeout=PATIENCE_SECS)
    assert (raised.value.errno, raised.value.strerror) == (2, "no such file")


def test_an_exception_of_the_programs_own_is_raised_as_itself(duo):
    from pyapp.tasks import OutOfStock

    result = duo.send("interop.fail_as", "pyapp.tasks", "OutOfStock", ["tea", 0])

    with pytest.raises(OutOfStock) as raised:
        result.get(timeout=PATIENCE_SECS)
    assert raised.value.args == ("tea", 0)


def test_an_error_that_only_rust_knows_is_an_exception_of_that_name(duo):
    result = duo.send("interop.fail_with_cause", "tea")

    with pytest.raises(Exception, match="tea is out of stock") as raised:
        result.get(timeout=PATIENCE_SECS)
    assert type(raised.value).__name__ == "OutOfStock"
    assert "invalid digit" in result.traceback


def test_a_panic_is_a_failure_and_the_worker_goes_on(duo):
    result = duo.send("interop.panic", "oh no")

    with pytest.raises(Exception, match="oh no"):
        result.get(timeout=PATIENCE_SECS)
    assert duo.run("interop.add", 1, 2) == 3


def test_a_time_limit_is_a_time_limit(duo):
    result = duo.send("interop.limited")

    with pytest.raises(TimeLimitExceeded):
        result.get(timeout=PATIENCE_SECS)


def test_a_reject_is_stored(duo):
    result = duo.send("interop.reject")

    with pytest.raises(Reject, match="no use for it"):
        result.get(timeout=PATIENCE_SECS)


def test_get_gives_up_when_told(duo):
    gate = duo.gate()
    result = duo.send("interop.hold", gate.path)

    with pytest.raises(TimeoutError):
        result.get(timeout=0.1)
    gate.open("late")
    assert result.get(timeout=PATIENCE_SECS) == "late"


def test_started_tells_who_runs_it(duo):
    gate = duo.gate()
    result = duo.send("interop.hold_started", gate.path)
    gate.wait_until_somebody_waits()

    assert result.state == "STARTED"
    assert result.info["hostname"] == "rust@here"
    assert result.info["pid"] == duo.rust.pid
    gate.open()
    assert result.get(timeout=PATIENCE_SECS) == "open"


def test_progress_is_seen(duo):
    gate = duo.gate()
    result = duo.send("interop.progress", gate.path, 3, 10)
    gate.wait_until_somebody_waits()

    assert result.state == "PROGRESS"
    assert result.info == {"done": 3, "total": 10}
    gate.open()
    assert result.get(timeout=PATIENCE_SECS) == 10


def test_progress_is_pushed_to_who_waits(duo):
    gate = duo.gate()
    seen = []

    def on_message(meta):
        # Celery tells what it finds stored, at first perhaps nothing, and what is pushed, which may be the same.
        told = meta["status"], meta["result"]
        if told not in seen and meta["status"] != "PENDING":
            seen.append(told)
            if meta["status"] == "PROGRESS":
                gate.open()

    result = duo.send("interop.progress", gate.path, 3, 10)
    assert result.get(timeout=PATIENCE_SECS, on_message=on_message) == 10
    assert seen == [("PROGRESS", {"done": 3, "total": 10}), ("SUCCESS", 10)]


def test_a_result_can_be_forgotten(duo):
    result = duo.send("interop.add", 1, 2)
    result.get(timeout=PATIENCE_SECS)

    result.forget()

    assert not duo.redis.exists(f"celery-task-meta-{result.id}")
    assert duo.app.AsyncResult(result.id).state == "PENDING"


def test_children_and_parents_make_a_graph(duo):
    result = duo.send("interop.spawn", "py.add", [1, 2], "python", 2)

    ids = result.get(timeout=PATIENCE_SECS)
    assert [child.id for child in result.children] == ids
    assert [child.get(timeout=PATIENCE_SECS) for child in result.children] == [3, 3]
    assert [value for _, value in result.collect(timeout=PATIENCE_SECS)] == [ids, 3, 3]
    for child in result.children:
        meta = duo.app.backend.get_task_meta(child.id)
        assert meta["parent_id"] == result.id


def test_a_child_knows_its_parent_and_root(duo):
    result = duo.send("interop.spawn", "py.request", [], "python", 1)
    [child] = result.get(timeout=PATIENCE_SECS)
    request = duo.app.AsyncResult(child).get(timeout=PATIENCE_SECS)
    assert (request["parent_id"], request["root_id"]) == (result.id, result.id)

    result = duo.send("py.spawn", "interop.request", [], "rust", 1, queue="python")
    [child] = result.get(timeout=PATIENCE_SECS)
    request = duo.app.AsyncResult(child).get(timeout=PATIENCE_SECS)
    assert (request["parent_id"], request["root_id"]) == (result.id, result.id)


def test_retries_that_run_out_are_told(duo):
    result = duo.send("interop.retry_automatically", 9)
    with pytest.raises(Exception, match="invalid digit"):
        result.get(timeout=PATIENCE_SECS)
    assert not isinstance(result.result, MaxRetriesExceededError)


def test_results_expire(duo):
    result = duo.send("interop.add", 1, 2)
    result.get(timeout=PATIENCE_SECS)

    assert 0 < duo.redis.ttl(f"celery-task-meta-{result.id}") <= 24 * 60 * 60


def test_extended_results_have_the_same_fields_from_both(new_place):
    place = new_place(result_extended=True)
    try:
        place.aipo_worker("rust", result_extended="true")
        place.python_worker("python", result_extended=True)
        metas = []
        for task, queue in [("interop.greet", "rust"), ("py.greet", "python")]:
            result = place.send(task, "Ana", kwargs={"title": "Dr."}, queue=queue, task_id=f"of-{queue}")
            result.get(timeout=PATIENCE_SECS)
            assert (result.name, result.queue, result.retries) == (task, queue, 0)
            assert result.worker == f"{queue}@here"
            meta = place.app.backend.get_task_meta(result.id)
            metas.append({name: type(value) for name, value in meta.items()})
            assert (list(result.args), result.kwargs) == (["Ana"], {"title": "Dr."})
        assert metas[0] == metas[1]
    finally:
        place.close()


def test_plain_results_have_the_same_fields_from_both(duo):
    metas = []
    for prefix, queue in [("interop", "rust"), ("py", "python")]:
        for name, args in [("add", (1, 2)), ("fail", ("boom",))]:
            result = duo.send(f"{prefix}.{name}", *args, queue=queue)
            result.get(timeout=PATIENCE_SECS, propagate=False)
            metas.append({name: type(value) for name, value in duo.app.backend.get_task_meta(result.id).items()})
    rust, python = metas[:2], metas[2:]
    assert rust[0] == python[0]
    assert rust[1].keys() == python[1].keys()
