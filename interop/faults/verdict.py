"""What a trial comes to: figures, and the promises among them."""

import dataclasses

from .trial import FINAL

# A run that is done is settled within this time, unless something is wrong.
SETTLING_SECS = 2
# How long it may take until what a fault interrupted goes on.
RECOVERY_SECS = 20


@dataclasses.dataclass
class Figure:
    """A row of the table."""

    what: str
    value: object
    # Whether it is as aipo promises; None for what is only told.
    holds: bool | None = None
    # Whether it is a time, which a busy machine can make longer.
    timed: bool = False


def figures(told):
    """All rows."""
    of, states = told.runs.of, told.states
    kills = [fault for fault in told.faults if fault.what == "kill"]
    outages = [fault for fault in told.faults if fault.what != "kill"]

    unfinished = {number for number, state in enumerate(states) if state not in FINAL}
    stuck = unfinished & told.held - told.waiting
    lost = unfinished - told.held - told.waiting
    left = (told.held | told.waiting) - unfinished

    repeats = [pair for runs in of.values() for pair in zip(runs, runs[1:])]
    causes = [cause(before, again, told.faults) for before, again in repeats]
    killed = sum(fault is not None and fault.worker is not None for fault in causes)
    done_twice = [runs for runs in of.values() if sum(run.done is not None for run in runs) > 1]

    to_next_run = [time_there(fault.over, again.begun, outages) for fault, (_, again) in zip(causes, repeats) if fault]
    to_next_done = [first_after(told.runs.done_at, outage.over) for outage in outages]
    return [
        Figure("tasks sent", told.plan.tasks),
        Figure("workers killed", len(kills)),
        Figure("Redis restarted or stopped", len(outages)),
        none("tasks that never ran", told.plan.tasks - len(of)),
        Figure("tasks that ended as SUCCESS", states.count("SUCCESS")),
        Figure("tasks that ended as FAILURE, though none fails by itself", states.count("FAILURE")),
        none("results that changed after they were final", told.changed),
        none("tasks lost: no result, and the message is gone", len(lost)),
        none("tasks stuck: no result, and held by no living worker", len(stuck)),
        none("tasks still waiting when the trial was given up", len(unfinished & told.waiting)),
        none("messages left although their task has ended", len(left)),
        Figure("tasks that ran to their end more than once", len(done_twice)),
        Figure("runs beyond the first", len(repeats)),
        Figure("… since their worker was killed", killed),
        Figure("… since Redis was away", len(causes) - killed - causes.count(None)),
        none("… without a cause", causes.count(None)),
        soon("longest time from a fault to the run that makes up for it", max(to_next_run, default=0)),
        soon("longest time from the return of Redis until a task was done", max(to_next_done, default=0)),
        soon("longest time in which nothing was done although Redis was there", longest_standstill(told, outages)),
        Figure("whole time", f"{told.over - told.begun:.1f} s"),
    ]


def none(what, value):
    """Something that must not happen."""
    return Figure(what, value, value == 0)


def soon(what, seconds):
    """Something that must not take long."""
    return Figure(what, f"{seconds:.1f} s", seconds <= RECOVERY_SECS, timed=True)


def cause(before, again, faults):
    """The fault that made a task run again: its worker was killed, or Redis was away, before it was settled."""
    settled = min(before.done + SETTLING_SECS if before.done else again.begun, again.begun)
    for fault in faults:
        if fault.worker == before.worker and before.begun <= fault.begun <= settled:
            return fault
    for fault in faults:
        if fault.worker is None and fault.begun <= settled and before.begun <= fault.over:
            return fault
    return None


def first_after(moments, moment):
    """From a moment to the next of these; nothing when there is none."""
    later = [found - moment for found in moments if found > moment]
    return min(later, default=0)


def longest_standstill(told, outages):
    """The longest time between two runs that were done, without the time in which Redis was away."""
    moments = [told.begun, *sorted(told.runs.done_at), told.over]
    return max(time_there(earlier, later, outages) for earlier, later in zip(moments, moments[1:]))


def time_there(earlier, later, outages):
    """A time without that in which Redis was away."""
    away = sum(max(0, min(later, outage.over) - max(earlier, outage.begun)) for outage in outages)
    return later - earlier - away
