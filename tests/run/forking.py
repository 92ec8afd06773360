"""Cases of forked workers for tests/experiment/test_workers.py, each run in its own process.

Workers can only be forked in a process in which Polars has not run. Other tests run Polars in
pytest's process.
"""

import json
import os
import signal
import sys
import time

from cll.experiment.workers import Workers
from cll.system import cpu


def many():
    def work(item, _):
        time.sleep(0.02)
        return item, os.getpid()

    found = dict(Workers(work, 2).map(range(12)))
    pids = {pid for _, pid in found.values()}
    return [found[n][0] for n in range(12)], len(pids), os.getpid() in pids


def batches():
    some = Workers(lambda *_: os.getpid(), 2)
    return [sorted(set(dict(some.map("ab")).values())) for _ in range(2)]


def failing():
    def work(item, _):
        return 1 / item

    found = dict(Workers(work, 2).map([1, 0, 2]))
    return found[0], found[1].says, "return 1 / item" in found[1].trace, found[2]


def killed():
    def work(item, _):
        if item == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    found = dict(Workers(work, 1).map(["a", "die", "b"]))
    return found[0], str(found[1]), found[2]


def asking():
    def work(item, ask):
        return ask(item * 10)

    found = Workers(work, 2).map([1, 2], answer=lambda number, told: [number, told, os.getpid()])
    return sorted(answer[:2] for _, answer in found), os.getpid()


def threads():
    def work(*_):
        import polars as pl  # noqa: PLC0415  its threads start in the worker

        return pl.thread_pool_size()

    cores = len(os.sched_getaffinity(0))
    return dict(Workers(work, cores).map([0]))[0]


def last():
    cores = len(os.sched_getaffinity(0))

    def work(item, _):
        before = cpu.threads()
        while item == cores - 1 and cpu.threads() < cores:  # until the other workers have ended
            time.sleep(0.01)
        return before, cpu.threads()

    found = dict(Workers(work, cores).map(range(cores)))
    return found[0][0], found[cores - 1][1], cores, cpu.threads()


def late():
    import polars as pl  # noqa: PLC0415  deliberately before the fork

    pl.DataFrame({"a": range(1000)}).sort("a", descending=True)
    time.sleep(
        0.5
    )  # a thread sets its name when it first runs, which takes a while on a busy machine
    try:
        list(Workers(lambda *_: None, 2).map([0]))
    except Exception as error:  # noqa: BLE001  the test checks the message
        return str(error)
    return "forked"


def orphans():
    def work(*_):
        os.write(1, f"{os.getpid()}\n".encode())
        time.sleep(60)

    list(Workers(work, 2).map([0, 1]))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(globals()[sys.argv[1]]()))
