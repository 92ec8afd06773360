"""Commands that use a model: predict and export."""

from pathlib import Path
from typing import Annotated

import typer

from cll.cli.options import ROOT, command

PANEL = "Serving"
Model = Annotated[str, typer.Option(help="candidate, champion, or the folder of a model.")]

app = typer.Typer()


@command(app, "cll predict data/raw --out scores.csv --model champion", panel=PANEL)
def predict(
    data: Annotated[Path, typer.Argument(help="A file or folder in the format of the source.")],
    out: Annotated[Path, typer.Option(help="The file to write: .parquet or .csv.")],
    model: Model = "candidate",
) -> None:
    """Score files with a model.

    The files are read, and their features computed, as in training.
    """
    from cll.serving import predict_files  # noqa: PLC0415  each command imports what it uses
    from cll.system import workspace  # noqa: PLC0415  each command imports what it uses

    counts = predict_files.score(workspace.Workspace(ROOT), data, out, model)
    typer.echo(f"{out}: {predict_files.summary(counts)}")


@command(app, "cll export --onnx model.onnx", panel=PANEL)
def export(
    out: Annotated[Path, typer.Option("--onnx", help="The ONNX file to write.")],
    model: Model = "candidate",
) -> None:
    """Write a model in the ONNX format (needs the extra "onnx")."""
    from cll.serving import predict_files  # noqa: PLC0415  each command imports what it uses
    from cll.system import workspace  # noqa: PLC0415  each command imports what it uses

    predict_files.export_onnx(workspace.Workspace(ROOT), out, model)
    typer.echo(f"{out}: written.")
