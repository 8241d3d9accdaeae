"""aipo sends, Python runs."""

import datetime as dt
import json

import pytest

from harness.program import PATIENCE_SECS

UTC = dt.timezone.utc


@pytest.mark.parametrize(
    ("args", "kwargs", "greeting"),
    [
        (["Ana"], {}, "Hello, Ana!"),
        (["Ana", "Olá", "Dr."], {}, "Olá, Dr. Ana!"),
        ([], {"name": "Ana", "title": "Dr."}, "Hello, Dr. Ana!"),
    ],
)
def test_arguments_by_position_name_and_default(duo, args, kwargs, greeting):
    assert duo.aipo_run("py.greet", *args, kwargs=kwargs) == greeting


def test_the_command_call_sends(duo):
    options = ["--args", "[1]", "--kwargs", '{"y": 2}', "--queue", "python", "--wait", "60s", "--json"]
    answer = json.loads(duo.aipo("call", "py.add", *options))

    assert (answer["status"], answer["result"]) == ("SUCCESS", 3)


def test_arguments_that_do_not_fit_are_a_type_error(duo):
    result = duo.aipo_send("py.add", 1)

    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        result.get(timeout=PATIENCE_SECS)
    told = duo.aipo_result(result.id, status=3)["result"]
    assert (told["exc_type"], told["exc_module"]) == ("TypeError", "builtins")


VALUES = {
    "nothing": None,
    "bool": True,
    "float": 0.1,
    "negative": -(2**63),
    "unsigned": 2**64 - 1,
    "text": 'é ü 漢字 🦀 \u2028 "quoted" \\ \x00 \x7f',
    "list": [1, [2, [3, []]]],
    "map": {"a": {"b": [None, {}]}, "": "empty key", "ключ": 1},
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_a_value_comes_back_as_it_was(duo, value):
    assert duo.aipo_run("py.echo", value) == value


@pytest.mark.parametrize(
    ("kind", "value", "seen"),
    [
        ("datetime", "2026-01-02T03:04:05+00:00", "datetime"),
        ("date", "2026-01-02", "date"),
        ("time", "03:04:05", "time"),
        ("decimal", "1.50", "Decimal"),
        ("uuid", {"hex": "12345678123456781234567812345678"}, "UUID"),
        ("bytes", "hi", "bytes"),
        ("base64", "//4=", "bytes"),
    ],
)
def test_kombus_types_are_what_they_say(duo, kind, value, seen):
    wire = {"__type__": kind, "__value__": value}

    assert duo.aipo_run("py.type_of", wire)[0] == seen
    # What Python returns as such a type is the same on the wire.
    assert duo.aipo_run("py.echo", wire) == wire


def test_a_megabyte_comes_back(duo):
    text = "ü" * 500_000
    assert duo.aipo_run("py.echo", text) == text


def test_an_id_a_name_to_show_and_headers_arrive(duo):
    result = duo.aipo_send(
        "py.request",
        task_id="chosen é",
        shadow="nickname",
        headers={"tenant": "a", "depth": {"b": [1]}},
        priority=6,
        time_limit=50,
        soft_time_limit=40.5,
    )

    request = result.get(timeout=PATIENCE_SECS)
    assert (result.id, request["id"], request["root_id"]) == ("chosen é", "chosen é", "chosen é")
    assert request["task"] == "py.request"
    assert request["shadow"] == "nickname"
    assert request["headers"] == {"tenant": "a", "depth": {"b": [1]}}
    assert request["timelimit"] == [50, 40.5]
    assert request["queue"] == "python"
    assert request["origin"].startswith("gen")
    # kombu's Redis transport tells a worker the step's list, not the number itself.
    assert request["priority"] == 6


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ([], {}),
        (["it's"], {"k": None}),
        ([1, 2.5, None, True, ["a", {"b": "c"}]], {"when": {"x": [False]}}),
        (["é" * 2000], {}),
    ],
    ids=["none", "one", "nested", "long"],
)
def test_arguments_are_printed_as_python_prints_them(duo, args, kwargs):
    ours = duo.aipo_send("py.request", *args, kwargs=kwargs).get(timeout=PATIENCE_SECS)
    theirs = duo.run("py.request", *args, kwargs=kwargs, queue="python")

    assert ours["argsrepr"] == theirs["argsrepr"]
    assert ours["kwargsrepr"] == theirs["kwargsrepr"]


@pytest.mark.parametrize(
    ("task", "ignore_result", "stored"),
    [
        ("py.echo", None, True),
        ("py.echo", False, True),
        ("py.echo", True, False),
        ("py.quiet", None, False),
        ("py.quiet", True, False),
    ],
)
def test_ignore_result_of_the_call_goes_before_the_tasks(duo, task, ignore_result, stored):
    result = duo.aipo_send(task, 1, ignore_result=ignore_result)
    duo.python.wait_for_line(f"Task {task}[{result.id}] succeeded")

    assert duo.redis.exists(f"celery-task-meta-{result.id}") == stored


@pytest.mark.parametrize(
    "when",
    [
        lambda: {"countdown": 1},
        lambda: {"eta": (dt.datetime.now(UTC) + dt.timedelta(seconds=1)).isoformat()},
    ],
    ids=["countdown", "eta"],
)
def test_a_task_is_not_run_before_its_time(duo, when):
    sent = dt.datetime.now(UTC)
    result = duo.aipo_send("py.add", 1, 2, **when())

    assert result.get(timeout=PATIENCE_SECS) == 3
    assert result.date_done.replace(tzinfo=UTC) - sent >= dt.timedelta(seconds=0.99)


@pytest.mark.parametrize("expires", ["moment", "seconds"])
def test_an_expired_task_is_revoked(place, expires):
    moment = dt.datetime.now(UTC) - dt.timedelta(seconds=1)
    result = place.aipo_send("py.add", 1, 2, expires=0.01 if expires == "seconds" else moment.isoformat())
    other = place.aipo_send("py.add", 1, 2, expires=3600)
    place.python_worker("python")

    told = place.aipo_result(result.id, status=3)
    assert told["status"] == "REVOKED"
    assert told["result"]["exc_type"] == "TaskRevokedError"
    assert other.get(timeout=PATIENCE_SECS) == 3


def test_an_unknown_task_fails_and_the_worker_goes_on(duo):
    told = duo.aipo_result(duo.aipo_send("py.nowhere", 1).id, status=3)

    assert told["result"]["exc_type"] == "NotRegistered"
    assert duo.aipo_run("py.add", 1, 2) == 3


def test_a_thousand_at_once(duo):
    calls = [{"task": "py.add", "args": [n, 1], "queue": "python"} for n in range(1000)]
    ids = duo.aipo_send_all(calls)

    results = [duo.app.AsyncResult(task_id).get(timeout=PATIENCE_SECS) for task_id in ids]
    assert results == [n + 1 for n in range(1000)]


def test_tasks_of_both_sides_ask_each_other(duo):
    """A task of Python's waits for one of aipo's, and that one for one of Python's."""
    inner = ["py.add", [20, 22], "python"]
    assert duo.run("py.ask", "interop.ask", inner, "rust", queue="python") == 42
