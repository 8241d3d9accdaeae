"""aipo reads what Python stored."""

import datetime as dt
import json

import pytest

from harness.program import PATIENCE_SECS


def test_a_success(duo):
    result = duo.send("py.add", 2, 2, queue="python")
    told = duo.aipo_result(result.id)

    assert (told["status"], told["result"], told["traceback"]) == ("SUCCESS", 4, None)
    assert told["task_id"] == result.id
    assert told["children"] == []
    assert dt.datetime.fromisoformat(told["date_done"]) == result.date_done


def test_a_failure_with_its_traceback(duo):
    result = duo.send("py.fail", "bad é", queue="python")
    told = duo.aipo_result(result.id, status=3)

    assert told["status"] == "FAILURE"
    assert told["result"] == {"exc_type": "ValueError", "exc_message": ["bad é"], "exc_module": "builtins"}
    assert "in fail" in told["traceback"]
    text = duo.aipo("result", result.id, "--traceback", status=3)
    assert "ValueError: bad é" in text
    assert "in fail" in text


def test_an_exception_of_the_programs_own(duo):
    told = duo.aipo_result(duo.send("py.fail_custom", "tea", 0, queue="python").id, status=3)

    assert told["result"] == {"exc_type": "OutOfStock", "exc_message": ["tea", 0], "exc_module": "pyapp.tasks"}


def test_a_time_limit(duo):
    told = duo.aipo_result(duo.send("py.limited", queue="python").id, status=3)

    assert told["result"]["exc_type"] == "TimeLimitExceeded"


def test_progress(duo):
    gate = duo.gate()
    result = duo.send("py.progress", gate.path, 3, 10, queue="python")
    gate.wait_until_somebody_waits()

    told = json.loads(duo.aipo("result", result.id, "--json"))
    assert (told["status"], told["result"]) == ("PROGRESS", {"done": 3, "total": 10})
    gate.open()
    assert duo.aipo_result(result.id)["result"] == 10


def test_a_retry_that_is_to_come(duo):
    result = duo.send("py.retry_later", queue="python")
    duo.wait_for_state(result, "RETRY")

    told = json.loads(duo.aipo("result", result.id, "--json"))
    assert told["status"] == "RETRY"
    assert told["result"]["exc_message"] == ["printer is offline"]
    assert told["date_done"] is None


def test_children(duo):
    result = duo.send("py.spawn", "interop.add", [1, 2], "rust", 2, queue="python")
    ids = result.get(timeout=PATIENCE_SECS)

    assert duo.aipo_result(result.id)["children"] == [[[task_id, None], None] for task_id in ids]


def test_a_task_that_waits_is_told_apart_from_one_that_was_never_sent(place):
    result = place.aipo_send("py.add", 1, 2, queue="nobody")

    told = json.loads(place.aipo("result", result.id, "--json"))
    assert told["status"] == "PENDING"
    assert "nobody" in told["place"]
    place.aipo("result", "never-sent", "--json", status=3)


@pytest.mark.xfail(reason="aipo knows the queues only that an aipo program has used", raises=AssertionError)
def test_a_task_that_waits_in_a_queue_of_pythons_is_found(place):
    result = place.send("py.add", 1, 2, queue="nobody")

    assert json.loads(place.aipo("result", result.id, "--json"))["status"] == "PENDING"
