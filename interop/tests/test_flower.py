"""Flower beside an aipo worker and a Python worker: every page, and every call of its API that concerns workers
and tasks. What Flower says of the Python worker is the measure."""

import json

import pytest

from harness.flower import Flower
from harness.place import CELERY
from harness.program import PATIENCE_SECS
from harness.server import free_port

NODES = ["rust@here", "python@here"]


@pytest.fixture(scope="module")
def flower(duo):
    port = free_port()
    words = [CELERY, "-A", "pyapp", "flower", "--address=127.0.0.1", f"--port={port}", "--inspect_timeout=5000"]
    flower = Flower(duo.python_program(words, {"FLOWER_UNAUTHENTICATED_API": "true"}), port)
    flower.until(lambda: set(flower.json("/api/workers", refresh=1)) >= set(NODES))
    # Flower does this itself, every five seconds.
    duo.app.control.enable_events(destination=NODES, reply=True, timeout=30)
    return flower


def test_workers_are_online_with_the_same_details(flower):
    workers = flower.json("/api/workers", refresh=1)

    rust, python = (workers[node] for node in NODES)
    assert rust.keys() == python.keys()
    assert flower.json("/api/workers", status=1) == {node: True for node in NODES}
    assert rust["stats"]["pool"]["max-concurrency"] == 4
    assert [queue["name"] for queue in rust["active_queues"]] == ["rust"]
    assert "interop.add" in rust["registered"]


@pytest.mark.parametrize("page", ["/", "/workers"])
def test_the_list_of_workers(flower, page):
    text = flower.get(page)
    assert all(node in text for node in NODES)


TABS = ["tab-pool", "tab-broker", "tab-queues", "tab-tasks", "tab-limits", "tab-config", "tab-system", "tab-other"]


@pytest.mark.parametrize("node", NODES)
def test_the_page_of_a_worker(flower, node):
    text = flower.get(f"/worker/{node}")

    assert [tab for tab in TABS if f'id="{tab}"' not in text] == []
    assert "127.0.0.1" in text
    assert node.split("@")[0] in text


def test_tasks_are_seen_from_start_to_end(flower, duo):
    for prefix, queue in [("interop", "rust"), ("py", "python")]:
        done = duo.send(f"{prefix}.add", 1, 2, queue=queue)
        failed = duo.send(f"{prefix}.fail", "boom", queue=queue)
        retried = duo.send(f"{prefix}.retry_later", queue=queue)

        info = flower.knows(done.id, "SUCCESS")
        assert (info["name"], info["args"], info["kwargs"], info["result"]) == (f"{prefix}.add", "(1, 2)", "{}", "3")
        assert info["worker"] == f"{queue}@here"
        assert info["runtime"] >= 0
        assert "ValueError('boom')" in flower.knows(failed.id, "FAILURE")["exception"]
        assert "printer is offline" in flower.knows(retried.id, "RETRY")["exception"]
        for result in [done, failed, retried]:
            assert result.id in flower.get(f"/task/{result.id}")
        assert flower.json(f"/api/task/result/{done.id}")["result"] == 3
        assert flower.json(f"/api/task/result/{failed.id}")["state"] == "FAILURE"


def test_the_list_of_tasks(flower, duo):
    result = duo.send("interop.add", 5, 6)
    flower.knows(result.id, "SUCCESS")

    assert result.id in flower.json("/api/tasks")
    assert result.id in flower.json("/api/tasks", workername="rust@here", taskname="interop.add", state="SUCCESS")
    assert result.id not in flower.json("/api/tasks", workername="python@here")
    assert "interop.add" in flower.json("/api/task/types")["task-types"]
    assert "Tasks" in flower.get("/tasks")
    assert "flower_task_runtime_seconds" in flower.get("/metrics")


def test_the_queues(flower, duo):
    duo.aipo_send_all([{"task": "nowhere", "queue": "celery", "priority": n} for n in range(10)])
    queues = {queue["name"]: queue["messages"] for queue in flower.json("/api/queues/length")["active_queues"]}
    assert queues["rust"] == 0
    assert "rust" in flower.get("/broker")
    duo.redis.delete(*duo.redis.scan_iter("celery*"))


def test_tasks_are_sent(flower, duo):
    sent = flower.post("/api/task/send-task/interop.add", {"args": [1, 2], "queue": "rust"})
    assert duo.app.AsyncResult(sent["task-id"]).get(timeout=PATIENCE_SECS) == 3

    # By these Flower sends only what its own app knows.
    sent = flower.post("/api/task/async-apply/shared.who", {"args": [], "queue": "rust"})
    assert duo.app.AsyncResult(sent["task-id"]).get(timeout=PATIENCE_SECS) == "aipo"
    told = flower.post("/api/task/apply/shared.who", {"args": [], "queue": "rust"})
    assert (told["state"], told["result"]) == ("SUCCESS", "aipo")


@pytest.mark.parametrize(("prefix", "queue"), [("interop", "rust"), ("py", "python")])
def test_a_task_is_revoked(flower, duo, prefix, queue):
    gate = duo.gate()
    running = duo.send(f"{prefix}.endless", gate.path, queue=queue)
    assert gate.read() == "running"
    flower.knows(running.id, "STARTED")

    flower.post(f"/api/task/revoke/{running.id}", terminate="true")

    info = flower.knows(running.id, "REVOKED")
    assert info["worker"] == f"{queue}@here"


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/api/worker/pool/grow/{}", {"n": 1}),
        ("/api/worker/pool/shrink/{}", {"n": 1}),
        ("/api/worker/pool/autoscale/{}", {"min": 1, "max": 2}),
        ("/api/worker/pool/restart/{}", {}),
        ("/api/worker/queue/add-consumer/{}", {"queue": "by-flower"}),
        ("/api/worker/queue/cancel-consumer/{}", {"queue": "by-flower"}),
        ("/api/task/rate-limit/shared.who", {"workername": "{}", "ratelimit": "100/m"}),
        ("/api/task/rate-limit/shared.who", {"workername": "{}", "ratelimit": "often"}),
        ("/api/task/timeout/shared.hold", {"workername": "{}", "hard": 100, "soft": 50}),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_buttons_do_to_aipo_what_they_do_to_python(flower, path, query):
    answers = []
    for node in NODES:
        words = {name: str(value).format(node) for name, value in query.items()}
        status, text = flower.ask(path.format(node), {}, **words)
        answers.append((status, text.replace(node, "NODE")))
    # A refusal has its own words.
    assert answers[0] == answers[1] or answers[0][0] == answers[1][0] == 403


def test_the_button_that_shuts_down(flower, duo):
    worker = duo.aipo_worker("elsewhere", name="other@here")
    flower.until(lambda: "other@here" in flower.json("/api/workers", refresh=1))

    flower.post("/api/worker/shutdown/other@here")

    assert worker.wait() == 0
    flower.until(lambda: not flower.json("/api/workers", status=1).get("other@here", False))


def test_flowers_log_has_nothing_to_complain_of(flower):
    """The last test of this file: all pages have been shown and all buttons pressed."""
    # What tests ask for that is refused to both kinds of workers, and their questions for tasks that Flower has not heard
    # of yet.
    expected = ["not enabled", "Invalid rate limit", "404 GET /api/task/info/"]
    complaints = [
        line
        for line in flower.program.output.splitlines()
        if line.startswith(("[E ", "[W ", "Traceback")) and not any(words in line for words in expected)
    ]
    assert complaints == []
