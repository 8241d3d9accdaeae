"""The fault runs in small, see `faults/`: a short lease, few tasks, and no promises about time."""

from faults.fleet import Aipo
from faults.trial import Plan, run
from faults.verdict import figures


def test_no_task_is_lost_and_none_runs_again_without_a_cause(tmp_path):
    plan = Plan(tasks=3_000, every=0.5, freeze=5)
    told = run(Aipo(lease="2s"), plan, tmp_path, print)
    found = figures(told)

    kinds = [fault.what for fault in told.faults if fault.what != "kill"]
    assert kinds == ["restart", "freeze", "restart"]
    assert len(told.faults) > 3, "workers were killed"
    assert told.states.count("SUCCESS") + told.states.count("FAILURE") == plan.tasks
    assert not [figure for figure in found if figure.holds is False and not figure.timed]
