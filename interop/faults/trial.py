"""One fleet of workers, one Redis server, all faults."""

import concurrent.futures
import dataclasses
import json
import random
import time

from celery import Celery

from .fleet import QUEUE
from .runs import Runs
from .server import Server

# How often the trial looks at the clock and at what has been done.
TICK_SECS = 0.02
# Results that are asked for in one go.
BATCH = 5_000
FINAL = ("SUCCESS", "FAILURE", "REVOKED")


def option(default, meaning):
    """A field of the plan, and what the command line says of it."""
    return dataclasses.field(default=default, metadata={"help": f"{meaning}; {default}"})


@dataclasses.dataclass
class Plan:
    """What is done to a fleet."""

    tasks: int = option(50_000, "how many tasks")
    millis: int = option(20, "how long each takes")
    workers: int = option(4, "how many workers at a time")
    concurrency: int = option(4, "how many tasks at a time in each")
    every: float = option(1.0, "seconds from one kill to the next")
    freeze: float = option(15.0, "seconds for which Redis stands still")
    patience: float = option(90.0, "give up when nothing was done for so many seconds")
    limit: float = option(1_800.0, "give up after so many seconds")
    seed: int = option(1, "chooses which worker is killed")


@dataclasses.dataclass
class Fault:
    """Something that was done to the fleet. Times are seconds since 1970."""

    what: str
    begun: float
    over: float
    worker: int | None = None


@dataclasses.dataclass
class Told:
    """What is known after a trial."""

    plan: Plan
    runs: Runs
    faults: list
    # The state of each task; None without a result.
    states: list
    # How many final states were replaced before the workers had stopped.
    changed: int
    # The numbers of tasks whose messages are still in Redis: in their queue, or taken by some worker.
    waiting: set
    held: set
    begun: float
    over: float


def run(fleet, plan, folder, say):
    """Puts a fleet through the plan."""
    server = Server(folder)
    try:
        ids = send(server.url, plan, folder / "runs")
        say(f"{fleet.title}: {plan.tasks} tasks sent, seed {plan.seed}")
        return Trial(fleet, plan, server, ids, folder / "runs", say).run()
    finally:
        server.stop()


def send(url, plan, path):
    """Sends all tasks as a Celery program would that knows the task by its name; gives their ids."""
    with Celery("sender", broker=url, set_as_current=False) as app:
        args = (str(path),)
        return [
            app.send_task("trial.work", (*args, number, plan.millis), queue=QUEUE).id for number in range(plan.tasks)
        ]


class Trial:
    """The time in which workers run and faults happen."""

    def __init__(self, fleet, plan, server, ids, path, say):
        self.fleet = fleet
        self.plan = plan
        self.server = server
        self.ids = ids
        self.say = say
        self.runs = Runs(path)
        self.random = random.Random(plan.seed)
        self.workers = []
        self.faults = []
        self.states = [None] * plan.tasks
        # What is done to Redis, each once this share of all tasks has been done; and what is being done now.
        self.outages = [(0.2, "restart"), (0.45, "freeze"), (0.7, "restart")]
        self.outage = None
        # When something was last done, and when results were last asked for.
        self.moved = self.asked = time.monotonic()

    def run(self):
        begun = time.time()
        self.workers = [self._start() for _ in range(self.plan.workers)]
        # An outage takes its time, and workers are killed meanwhile.
        with concurrent.futures.ThreadPoolExecutor(max_workers=1) as hand:
            try:
                self._harass(hand)
                over = time.time()
                for worker in self.workers:
                    worker.ask_to_stop()
                for worker in self.workers:
                    worker.stop()
            finally:
                for worker in self.workers:
                    worker.kill()
        # Once more, now that nobody can change anything.
        self.runs.read()
        before, self.states = self.states, [None] * self.plan.tasks
        with self.server.connect() as redis:
            self._ask_for_results(redis)
            waiting, held = waiting_in(redis), held_in(redis)
        changed = sum(old in FINAL and old != new for old, new in zip(before, self.states))
        return Told(self.plan, self.runs, self.faults, self.states, changed, waiting, held, begun, over)

    def _start(self):
        return self.fleet.start(self.server.url, self.plan.concurrency)

    def _harass(self, hand):
        """Kills workers and takes Redis away, until everything is done or nothing more is."""
        began = time.monotonic()
        next_kill = began + self.plan.every
        while not self._all_done():
            if self.outage is None and self._is_hopeless(began):
                self.say(f"{self.fleet.title}: given up {time.monotonic() - began:.0f} s after the start")
                return
            time.sleep(TICK_SECS)
            self._look()
            self._take_redis_away(hand)
            if time.monotonic() >= next_kill:
                next_kill += self.plan.every
                self._kill()

    def _look(self):
        """Reads what has been done."""
        before = len(self.runs.done_at)
        self.runs.read()
        if len(self.runs.done_at) != before:
            self.moved = time.monotonic()

    def _is_hopeless(self, began):
        now = time.monotonic()
        return now - self.moved > self.plan.patience or now - began > self.plan.limit

    def _all_done(self):
        """Whether all results are final. Looked at only when nothing was done for a second."""
        now = time.monotonic()
        if self.outage or now - max(self.moved, self.asked) < 1:
            return False
        self.asked = now
        with self.server.connect() as redis:
            self._ask_for_results(redis)
        return all(state in FINAL for state in self.states)

    def _take_redis_away(self, hand):
        """Begins the next outage when it is time for it, and notices the end of the last one."""
        if self.outage and self.outage.done():
            self.outage.result()
            self.outage = None
            self.moved = time.monotonic()
        share = len(self.runs.done) / self.plan.tasks
        if self.outage is None and self.outages and share >= self.outages[0][0]:
            self.outage = hand.submit(self._outage, self.outages.pop(0)[1])

    def _kill(self):
        place = self.random.randrange(len(self.workers))
        worker = self.workers[place]
        worker.kill()
        now = time.time()
        self.faults.append(Fault("kill", now, now, worker.pid))
        self.workers[place] = self._start()

    def _outage(self, what):
        begun = time.time()
        getattr(self.server, what)(self.plan.freeze)
        self.faults.append(Fault(what, begun, time.time()))
        self.say(f"{self.fleet.title}: {what} of Redis over after {time.time() - begun:.1f} s")

    def _ask_for_results(self, redis):
        """Fills in the states that are not final yet."""
        open_ = [number for number, state in enumerate(self.states) if state not in FINAL]
        for first in range(0, len(open_), BATCH):
            numbers = open_[first : first + BATCH]
            metas = redis.mget([f"celery-task-meta-{self.ids[number]}" for number in numbers])
            for number, meta in zip(numbers, metas):
                self.states[number] = json.loads(meta)["status"] if meta else None


def waiting_in(redis):
    """The numbers of tasks that wait in their queue."""
    return {number_of(json.loads(message)) for message in redis.lrange(QUEUE, 0, -1)}


def held_in(redis):
    """The numbers of tasks that some worker has taken and not acknowledged, whichever kind of worker."""
    messages = [json.loads(entry)[0] for entry in redis.hvals("unacked")]
    for consumer in redis.scan_iter("aipo:consumer:*"):
        messages += [json.loads(value) for value in redis.hvals(consumer) if value.startswith("{")]
    return {number_of(message) for message in messages}


def number_of(message):
    """The number of the task in a message, as its headers show its arguments."""
    _file, number, _millis = message["headers"]["argsrepr"].strip("()").split(", ")
    return int(number)
