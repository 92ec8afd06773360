import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def forked(what):
    command = [sys.executable, "-m", "tests.run.forking", what]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_all_is_worked_by_few_processes_and_none_of_it_by_the_parent():
    assert forked("many") == [list(range(12)), 2, False]


def test_the_same_processes_work_the_next_batch():
    first, second = forked("batches")
    assert set(second) <= set(first)


def test_what_fails_is_told_and_stops_no_other():
    assert forked("failing") == [1.0, "ZeroDivisionError: division by zero", True, 0.5]


def test_a_process_that_is_killed_loses_its_item_alone_and_is_replaced():
    assert forked("killed") == ["a", "its process ended with signal 9; out of memory?", "b"]


def test_a_worker_can_ask_its_parent():
    answers, _ = forked("asking")
    assert answers == [[0, 10], [1, 20]]


def test_processors_are_divided_among_the_workers():
    assert forked("threads") == 1


def test_what_is_left_gets_the_processors_of_those_that_have_ended():
    first, last, cores, outside = forked("last")
    assert (first, last, outside) == (1, cores, cores)


def test_a_process_that_has_computed_is_not_forked():
    assert forked("late") == (
        "This process has computed already, so it can't be forked; use hydra/launcher=basic."
    )


def test_no_worker_outlives_its_parent():
    command = [sys.executable, "-m", "tests.run.forking", "orphans"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        parent.kill()
    deadline = time.monotonic() + 20
    while any(at_work(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def at_work(pid):
    """Tell whether a process is there, and more than a zombie that nobody asked for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
