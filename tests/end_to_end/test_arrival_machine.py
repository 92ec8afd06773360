"""A state machine of arrivals: after each step the project equals a simple model of it."""

import contextlib
import io
import os
import re
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cll.config import components, project
from cll.pipeline import stages
from cll.pipeline.compose import compose
from cll.pipeline.ingest import arrival_log
from cll.pipeline.ingest import stage as ingest_stage
from cll.system import disk, frames, manifest
from cll.system.partitions import SealedFolder
from cll.system.workspace import Workspace
from cll.types.errors import CllError, DataRefused
from tests.build import small
from tests.build.arriving import FIRST, TEXT, File, Record, account

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = datetime(2026, 1, 5, tzinfo=UTC)
MOMENTS = [NOW - 2 * DAY + 12 * HOUR, NOW - DAY, NOW, NOW + 3 * DAY]
SOURCES = ("data/raw", "other")

CHANGES = ("open", "os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir")

times = st.builds(
    lambda day, hour: FIRST + day * DAY + hour * HOUR,
    st.integers(0, 3),
    st.sampled_from([0, 3, 9, 21]),
)
sound = st.builds(
    Record,
    entity=st.sampled_from(["a", "b", "c"]),
    time=times,
    cpu=st.sampled_from([None, -0.0, 0.0, 0.25, 0.5, 0.309]),
    failed=st.sampled_from([None, 0, 1]),
    delay=st.sampled_from([0 * HOUR, HOUR, 2 * DAY]),
)
spoilt = st.builds(
    lambda record, bad: Record(record.entity, record.time, 0.1, 0, bad=bad),
    sound,
    st.sampled_from(["soon", "nameless", "broken", "blank"]),
)
some = st.lists(sound, min_size=1, max_size=4)


class Killed(BaseException):
    """Raised where a process would be killed."""


class Kill:
    """Stops the run at the n-th change on disk under a folder, and prevents later changes."""

    def __init__(self):
        self.folder, self.left = None, 0
        sys.addaudithook(self)

    def __call__(self, event, words):
        if self.folder is None or event not in CHANGES:
            return
        is_read = event == "open" and not (words[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if (
            is_read
            or isinstance(words[0], int)
            or not str(Path(os.fsdecode(words[0])).absolute()).startswith(self.folder)
        ):
            return
        self.left -= 1
        if self.left < 0:
            raise Killed

    @contextlib.contextmanager
    def at(self, folder, count):
        self.folder, self.left = str(folder), count
        try:
            yield
        except Killed:
            pass
        finally:
            self.folder = None


KILL = Kill()


@cache
def composed(known, source):
    """Compose once for all examples."""
    with tempfile.TemporaryDirectory() as folder:
        ws = small.project(Path(folder) / "project")
        told = "known_at" if known == "told" else "null"
        columns = ["entity: entity", "time: time", f"known_at: {told}", "outcome: failed"]
        columns += ["cpu_usage: cpu_usage"]
        nothing = ["group", "outcome_known_at", "memory_usage", "error_rate", "response_time"]
        columns += [f"{name}: null" for name in nothing]
        overrides = [
            "source=files",
            f"source.path={source}",
            f"source.backfill={'arrival' if known == 'arrival' else 'on_time'}",
            f"source.signals.columns={{{', '.join(columns)}}}",
            "ingest.schema=off",
            "ingest.max_quarantined=1.0",
            "label=outcome",
            "features.windows=[6h]",
            "features.rolling=[mean]",
            "features.past=[]",
            "features.lags=[]",
            "features.change=false",
            "features.max_age=1h",
            "features.peers=null",
        ]
        return compose.resolve(ws.root / "conf", {}, overrides)


class Arrivals(RuleBasedStateMachine):
    """A project, the files of its two sources, and the expected result."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="arrivals-")
        self.ws = small.project(Path(self.folder.name) / "project")
        self.files = {source: [] for source in SOURCES}
        self.source, self.as_of, self.number = SOURCES[0], NOW, 0
        self.refused = False  # the last time
        self.before = None  # the last account that was published, and of which source

    @initialize(known=st.sampled_from(["on_time", "arrival", "told"]), records=some)
    def begin(self, known, records):
        self.known = known
        grid = [FIRST + DAY * (n // 6) + HOUR * (4 * n % 24) for n in range(24)]
        whole = [Record("abc"[n % 3], time, 0.1 + n / 8, n % 2) for n, time in enumerate(grid)]
        self._fresh(".jsonl").append([*whole, *records])
        self.source = "other"
        self._fresh(".csv").append([Record("z", time, 0.5, 1) for time in grid[:8]])
        self.source = SOURCES[0]
        self._tick()

    @rule(data=st.data(), records=some)
    def append(self, data, records):
        self._text(data).append(records)
        self._tick()

    @rule(data=st.data(), records=st.lists(spoilt, min_size=1, max_size=3))
    def append_bad(self, data, records):
        self._text(data).append(records)
        self._tick()

    @rule(records=some, form=st.sampled_from([*TEXT, ".parquet"]))
    def new_file(self, records, form):
        self._fresh(form).append(records)
        self._tick()

    @rule(data=st.data(), form=st.sampled_from([*TEXT, ".parquet"]))
    def the_same_records_in_another_file(self, data, form):
        there = [one.record for file in self._now for one in file.lines if not one.record.bad]
        self._fresh(form).append(data.draw(st.lists(st.sampled_from(there), min_size=1)))
        self._tick()

    @rule(data=st.data(), record=sound, share=st.sampled_from([0.2, 0.95, 0.98, 1.0]))
    def tear(self, data, record, share):
        self._text(data).tear(record, share)
        self._tick()

    @precondition(lambda self: any(file.torn for file in self._text_files))
    @rule(data=st.data(), share=st.sampled_from([0.7, 0.98, 1.0]), to=st.sampled_from(MOMENTS))
    def go_on_in_the_last_line(self, data, share, to):
        """Move as_of too, or leave it: a line that is as it was may count as whole then."""
        _one(data, [file for file in self._text_files if file.torn]).go_on(share)
        self.as_of = to
        self._tick()

    @rule(data=st.data(), records=some, count=st.integers(0, 60), late=st.booleans())
    def crash(self, data, records, count, late):
        """Some records arrive, and the run that reads them is killed."""
        self._text(data).append(records)
        steps = [*stages.STAGES][: 1 + late]
        with contextlib.suppress(DataRefused), KILL.at(self.ws.root, count):
            self._run(self.ws, steps)
        self._believe_what_is_sealed()
        self._tick(after_a_crash=True)

    @rule(to=st.sampled_from(MOMENTS))
    def move_as_of(self, to):
        self.as_of = to
        self._tick()

    @rule()
    def take_the_other_source(self):
        self.source = SOURCES[1 - SOURCES.index(self.source)]
        self._tick()

    @rule(data=st.data(), accept=st.booleans(), shrink=st.booleans())
    def rewrite(self, data, accept, shrink):
        file = self._text(data)
        lines = file.path.read_bytes().splitlines(keepends=True) if file.first else []
        was = b"".join(lines)
        if file.torn or len(lines) < 3 + (file.form == ".csv"):
            return
        at = int(file.form == ".csv")
        gone = file.lines[0]
        file.path.write_bytes(b"".join([*lines[:at], *lines[at + 1 :]]))
        if not shrink:
            with file.path.open("ab") as more:
                more.write(lines[at] * 2)
        self._refuses(f"{file.name}: was rewritten")
        if accept:
            file.lines = file.lines[1:] + ([] if shrink else [gone] * 2)
            self._accept(file)
        else:
            file.path.write_bytes(was)
        self._tick()

    @precondition(lambda self: len(self._now) > 1)
    @rule(data=st.data(), accept=st.booleans())
    def remove(self, data, accept):
        file = _one(data, self._now)
        was = file.path.read_bytes()
        file.path.unlink()
        if file.first and file.first <= self.as_of:
            self._refuses(f"{file.name}: has vanished")
        if accept:
            self._now.remove(file)
            if file.first:
                self._accept(file)
        else:
            file.path.write_bytes(was)
        self._tick()

    # Of what was refused nothing is written down: renamed and then continued, it is another file.
    @precondition(lambda self: not self.refused)
    @rule(data=st.data())
    def rename(self, data):
        file = _one(data, self._now)
        path = self._fresh(file.form, listed=False).path
        file.path.rename(path)
        file.path, file.name = path, f"{self.source}/{path.name}"
        self._tick()
        self._tick()

    def teardown(self):
        try:
            if self.before is not None and self.known != "arrival":
                self._shuffled()
        finally:
            self.folder.cleanup()

    @property
    def _now(self):
        return self.files[self.source]

    @property
    def _text_files(self):
        return [file for file in self._now if file.form in TEXT]

    def _text(self, data):
        return _one(data, self._text_files or [self._fresh(".jsonl")])

    def _fresh(self, form, *, listed=True):
        self.number += 1
        # Neither the order of names is that of arrival.
        name = f"{self.source}/{'zyxwv'[self.number % 5]}{self.number}{form}"
        file = File(self.ws.root / name, name)
        self._now.extend([file] if listed else [])
        return file

    def _accept(self, file):
        with contextlib.chdir(self.ws.root):
            source = ingest_stage.source_of(composed(self.known, self.source))
            arrival_log.accept(self.ws, source, [file.name], self.as_of)
        file.first, file.lines = None, [type(one)(one.record) for one in file.lines]

    def _run(self, ws, names=("ingest", "featurize")):
        """Run stages where the project lies; return what they say."""
        world = f'as_of: "{self.as_of.isoformat()}"\nchampion: none\n'
        (self.ws.root / "world.yaml").write_text(world)
        tree = composed(self.known, self.source)
        said = io.StringIO()
        with contextlib.chdir(self.ws.root), contextlib.redirect_stderr(said):
            for name in names:
                stages.STAGES[name](ws, tree, project.read_world(Path("world.yaml")))
        return said.getvalue()

    def _refuses(self, says):
        before = _state(self.ws)
        with pytest.raises(DataRefused, match=f"^{re.escape(says)}") as refusal:
            self._run(self.ws)
        assert refusal.value.exit_code == 3
        assert _state(self.ws) == before

    def _believe_what_is_sealed(self):
        """Each folder is complete, or is refused by name."""
        for folder in (self.ws.signals, self.ws.features):
            try:
                manifest.unseal(folder)
            except CllError as refusal:
                assert str(folder) in str(refusal)  # noqa: PT017  or it is whole

    def _tick(self, *, after_a_crash=False):
        """Ingest and featurize, and compare all files with the model."""
        seen = [(file, dict(vars(file))) for file in self._now]
        for file in self._now:
            file.arrive(self.as_of)
        due = account(self._now, self.as_of, self.known)
        before = _state(self.ws)
        self.refused = due.refused
        if due.refused:
            with pytest.raises(DataRefused):
                self._run(self.ws)
            for file, was in seen:  # nothing of it was written down
                vars(file).update(was)
            return
        said = self.said = self._run(self.ws)
        self._as_accounted_for(due)
        self._as_a_rebuild_has_it()
        assert not [p for p in self.ws.root.rglob(".*") if p.name.startswith((".staging", ".mak"))]
        if not after_a_crash:
            for name, (data, stamp) in _state(self.ws).items():
                if name in before and before[name][0] == data and not name.endswith(".json"):
                    assert before[name][1] == stamp, name
            self._made_what_it_had_to(due, said)
        self.before = (self.source, self.as_of, due, _digests(self.ws.signals))

    def _as_accounted_for(self, due):
        counts = disk.read_json(self.ws.reports / "ingest.json")
        assert counts == due.counts
        assert counts["in"] == sum(counts.values()) - counts["in"]
        assert _kept(self.ws) == due.kept
        bad = frames.read_frame(self.ws.signals / manifest.QUARANTINE).select("file", "row").rows()
        assert sorted(bad) == sorted(due.quarantined)

    def _as_a_rebuild_has_it(self):
        with tempfile.TemporaryDirectory(prefix="rebuild-") as folder:
            there = Workspace(self.ws.root, Path(folder), isolated=True)
            self._run(there)
            built = {name: data for name, (data, _) in _state(there).items()}
        there = {name: data for name, (data, _) in _state(self.ws).items()}
        assert [n for n in {*there, *built} if there.get(n) != built.get(n)] == []

    def _made_what_it_had_to(self, due, said):
        """Exactly the days whose window holds new records are built again."""
        was = self.before
        digests = _digests(self.ws.signals)
        made = _made(said, "featurize")
        if was is None or was[0] != self.source:
            return
        changed = {day for day in {*was[3], *digests} if was[3].get(day) != digests.get(day)}
        look_back = components.build(
            "features", composed(self.known, self.source)["features"]
        ).lookback
        reached = {
            day
            for day in digests
            if any(
                (datetime.fromisoformat(day) - look_back).date() <= _date(c) <= _date(day)
                for c in changed
            )
        }
        assert made == reached, said
        arrived = {d for d in {*due.days, *was[2].days} if due.days.get(d) != was[2].days.get(d)}
        if was[1] != self.as_of:
            arrived |= due.waiting | was[2].waiting
        assert _made(said, "ingest") <= arrived
        assert changed <= _made(said, "ingest") | {*was[3]} - {*digests}

    def _shuffled(self):
        """The same records in another order and in other files give the same kept rows."""
        _, self.as_of, due, _ = self.before
        self.source = self.before[0]
        for file in self._now:
            file.path.unlink(missing_ok=True)
        records = [record for day in due.days.values() for _, record, _ in day]
        records.sort(key=lambda one: (one.entity, one.cpu is None, -one.time.timestamp()))
        self.ws = small.project(Path(self.folder.name) / "shuffled")
        self.files[self.source] = []
        for place, form in enumerate([".csv", ".parquet", ".jsonl"]):
            self._fresh(form).append(records[place::3])
        self._run(self.ws, ["ingest"])
        assert _kept(self.ws) == due.kept


def _one(data, files):
    return files[data.draw(st.integers(0, len(files) - 1))]


def _date(text):
    return datetime.fromisoformat(text).date()


def _made(said, stage):
    """Return the days that a stage says it made."""
    found = re.findall(rf"^{stage}: made \d+ of \d+ days \([^)]*\): (.*)$", said, re.MULTILINE)
    return {day for line in found for day in line.split(", ")}


def _state(ws):
    """Return each file of signals and features: its bytes, and what tells that it was not touched."""
    found = {}
    for folder in (ws.signals, ws.features):
        for path in folder.rglob("*"):
            if path.is_file():
                stat = path.stat()
                name = path.relative_to(folder.parent).as_posix()
                found[name] = (path.read_bytes(), (stat.st_ino, stat.st_mtime_ns))
    return found


def _digests(folder):
    there = SealedFolder(folder)
    return {day: there.files.get(day) for day, told in there.partitions.items() if told["rows"]}


def _kept(ws):
    rows = [manifest.read_sealed(ws.signals, files) for files in _digests(ws.signals).values()]
    names = ["cpu_usage", "outcome", "known_at", "outcome_known_at"]
    return {
        (row["entity"], row["time"]): tuple(row[name] for name in names)
        for row in pl.concat(rows).rows(named=True)
    }


@pytest.mark.slow
def test_whatever_arrives_however_the_kept_records_are_those_of_the_plain_account():
    fast = settings(
        max_examples=6,
        stateful_step_count=5,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Arrivals, settings=fast)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_whatever_arrives_at_length_the_kept_records_are_those_of_the_plain_account():
    thorough = settings(
        max_examples=10,
        stateful_step_count=12,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Arrivals, settings=thorough)
