"""Stages of the pipeline: each reads its inputs from disk, calls its step, and writes the result.

Each stage of dvc.yaml calls `cll stage NAME`; `cll run` calls the same functions in one process. A
stage imports its step only when it runs.
"""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cll.config import components, fingerprint, project
from cll.config.fingerprint import environment
from cll.config.project import Tree, load_tree, load_world
from cll.pipeline import input_guard
from cll.pipeline.dataset import labelled, tables
from cll.system import disk, frames, links, processes, progress
from cll.system.workspace import Workspace
from cll.types.errors import Busy, CllError, ConfigError, from_os_error
from cll.types.times import format_instant
from cll.types.verdicts import Rule, Verdict


def compose(ws: Workspace, *, check: bool = False) -> None:
    """Write resolved.yaml; with `check`, raise ConfigError instead if it is out of date."""
    from cll.pipeline.compose import compose as composing  # noqa: PLC0415  only this stage needs Hydra

    load_world(ws)
    params = components.load_yaml(ws.root / "params.yaml")
    text = composing.render(composing.resolve(ws.root / "conf", params))
    if check:
        existing = ws.resolved.read_text(encoding="utf-8") if ws.resolved.is_file() else ""
        if existing != text:
            raise ConfigError("resolved.yaml: stale; run `dvc repro` (or `cll compose`).")
        return
    disk.write_bytes(ws.resolved, text.encode())


def ingest(ws: Workspace, tree: Tree, world: project.World) -> None:
    """Write the signals that the source knew at `as_of`, one partition per day."""
    from cll.pipeline.ingest import stage as ingest_stage  # noqa: PLC0415  used by this stage only

    ingest_stage.ingest(ws, tree, world)


def featurize(ws: Workspace, tree: Tree, world: project.World) -> None:
    """Compute each day's features from that day and the lookback before it."""
    from cll.pipeline.featurize import stage as featurize_stage  # noqa: PLC0415  used by this stage only

    featurize_stage.featurize(ws, tree, world)


def train(
    ws: Workspace,
    tree: Tree,
    world: project.World,
    report: Callable[[int, float], None] | None = None,
) -> None:
    """Train the candidate and write it; `report` is called after each fold."""
    from cll.pipeline.train import candidate  # noqa: PLC0415  used by this stage only
    from cll.system import content_cache  # noqa: PLC0415  used by this stage only

    champion = _champion(ws, world) if candidate.reads_champion(tree) else None
    rows = labelled.shared(ws, tree, world)
    cache = content_cache.ContentCache(ws.cache / "store")
    files = candidate.fit(
        rows, tree, world.as_of, cache.get_or_make, report, _fallback(ws), champion
    )
    progress.note(f"train: {candidate.describe(files)}")
    if cache.made or cache.reused:
        progress.note(f"train: binned data: {cache}")
    folder = disk.fresh(ws.candidate)
    for name, data in files.items():
        disk.write_bytes(folder / name, data)
    disk.write_json(ws.reports / "environment.json", environment(ws))


def _champion(ws: Workspace, world: project.World) -> Any:
    """Load the champion after checking it against the ledger; None if there is none."""
    from cll.model import artifact  # noqa: PLC0415  used by two stages only
    from cll.model import champion as model_champion  # noqa: PLC0415  used by two stages only

    if world.champion == "none":
        return None
    if ws.out is not None:  # a run with its own folder may compare with any released model
        return artifact.load(ws.released(world.champion), world.champion)
    return model_champion.load(ws, world.champion)


def _fallback(ws: Workspace) -> dict[str, Any]:
    """Return the note that the data are simulated, if they are."""
    facts = tables.facts(ws)
    return {k: facts[k] for k in ("fallback",) if k in facts}


def evaluate(ws: Workspace, tree: Tree, world: project.World) -> None:
    """Evaluate candidate and champion on the holdout; write metrics.json and the data of plots."""
    from cll.model import artifact  # noqa: PLC0415  used by this stage only
    from cll.pipeline.evaluate import stage as evaluate_stage  # noqa: PLC0415  used by this stage only

    models = {"candidate": artifact.load(ws.candidate)}
    if (champion := _champion(ws, world)) is not None:
        models["champion"] = champion
    facts = tables.facts(ws)
    rows = labelled.shared(ws, tree, world)
    evaluation = evaluate_stage.judge(
        rows, models, tables.incidents(ws), facts["columns"]["numeric"], tree
    )
    evaluation.metrics["data"] |= {**facts["counts"], "excluded": rows.excluded, **_fallback(ws)}
    disk.write_json(ws.results / "metrics.json", evaluation.metrics)
    frames.write_csv(ws.draws, evaluation.draws)
    for name, curve in evaluation.curves.items():
        frames.write_csv(ws.reports / "plots" / f"{name}.csv", curve)


def gate(ws: Workspace, tree: Tree, world: project.World) -> None:
    """Write the gate's verdict; the stage also succeeds if the candidate is rejected."""
    disk.write_json(ws.reports / "verdict.json", judge(ws, tree, world))


def judge(ws: Workspace, tree: Tree, world: project.World) -> dict[str, Any]:
    """Return the verdict in the form of verdict.json."""
    from cll.pipeline.gate import stage as gate_stage  # noqa: PLC0415  used by this stage only

    model = disk.read_json(ws.candidate / "model.json")
    metrics = disk.read_json(ws.results / "metrics.json")
    return gate_stage.decide(metrics, model, tree, world.champion)


def report(ws: Workspace, tree: Tree, world: project.World) -> None:
    """Write the report as a page, and as text for a pull request."""
    from cll.pipeline.report import report as step  # noqa: PLC0415  used by this stage only

    verdict = disk.read_json(ws.reports / "verdict.json")
    decided = Verdict(
        verdict["answer"],
        verdict["model_id"],
        verdict["champion"],
        tuple(Rule(**rule) for rule in verdict["rules"]),
    )
    plots = sorted((ws.reports / "plots").glob("*.csv"))
    written = step.report(
        disk.read_json(ws.results / "metrics.json"),
        decided,
        {path.stem: frames.read_csv(path) for path in plots},
        disk.read_json(ws.candidate / "model.json"),
        tables.quarantine(ws),
        {
            "as_of": format_instant(world.as_of),
            "choices": tree["choices"],
            "directions": tree["directions"],
        },
    )
    disk.write_bytes(ws.reports / "report.html", written.html.encode())
    disk.write_bytes(ws.reports / "report.md", written.markdown.encode())


STAGES: dict[str, Callable[[Workspace, Tree, project.World], None]] = {
    "ingest": ingest,
    "featurize": featurize,
    "train": train,
    "evaluate": evaluate,
    "gate": gate,
    "report": report,
}


def _refused(refusal: Path, stage: str, error: CllError) -> int:
    """Print a refusal, and write it to refusal.json for the program that called DVC, if possible."""
    progress.say(f"cll: {error}")
    with contextlib.suppress(CllError, OSError):
        links.refuse_on_way(Path(), refusal)
        written = {"exit_code": error.exit_code, "says": str(error), "stage": stage}
        disk.write_json(refusal, written)
    return error.exit_code


def main(name: str) -> int:
    """Run one stage as a child of DVC; a refusal is one line on stderr and an exit code."""
    processes.die_with_parent()
    ws = Workspace(Path())
    refusal = ws.reports / "refusal.json"
    try:
        processes.enough_files()
        links.refuse(ws.root)
        input_guard.refuse_foreign_package(ws.root, name)
        with input_guard.inputs_unchanged(ws.root, name):
            if name == "compose":
                compose(ws)
            else:
                tree = load_tree(ws)
                fingerprint.refuse_other_code(name, tree)
                STAGES[name](ws, tree, load_world(ws))
                if fingerprint.code_changed(name, tree):
                    raise Busy(
                        f"the code of cll changed while stage {name} ran, so its result is not"
                        " recorded; run `dvc repro` again."
                    )
    except OSError as error:
        return _refused(refusal, name, from_os_error(error))
    except CllError as error:
        return _refused(refusal, name, error)
    refusal.unlink(missing_ok=True)
    return 0


def command(words: Sequence[str]) -> int:
    """Run `cll stage NAME`; return its exit code."""
    names = ["compose", *STAGES]
    if len(words) == 1 and words[0] in names:
        return main(words[0])
    progress.say(f"cll: stage {' '.join(words)}: no such stage; there are: {', '.join(names)}.")
    return ConfigError.exit_code
