"""What ``batch`` takes; what it does is in ``ui/batch.py``."""

from pathlib import Path
from typing import Annotated

import typer

from storyloom.ui.batch_options import EngineName, Options


def batch(  # noqa: PLR0913, PLR0917  (typer: a parameter an option)
    spec: Annotated[
        Path | None, typer.Argument(metavar="SPEC.yaml", help="The file that lists the stories.")
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="Who writes: threads of this process, or processes of Ray.")
    ] = EngineName.LOCAL,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64,
            metavar="N",
            help="How many stories are written side by side; with Ray, how many processes write.",
        ),
    ] = None,
    gpus_per_worker: Annotated[
        float,
        typer.Option(
            min=0, metavar="G", help="GPUs that each of Ray's workers reserves; 0.5 is half of one."
        ),
    ] = 0.0,
    ray_address: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="A Ray cluster: auto or host:port; otherwise Ray runs here."),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, its tokens and its time; write nothing.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report to a .json or .md file too.")
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the file's JSON schema, for editors.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON document a line as things happen, the report last.")
    ] = False,
) -> None:
    """Write many stories from one file, each to its end.

    Run it again after a stop, a crash or a change of the file: it goes on where it was and redoes nothing.
    Several processes may run the same file at once.
    """
    if report is not None and report.suffix.lower() not in {".json", ".md"}:
        raise typer.BadParameter("--report takes a .json or .md file")
    if engine is not EngineName.RAY and (gpus_per_worker or ray_address):
        raise typer.BadParameter("--gpus-per-worker and --ray-address belong to --engine ray")
    if spec is None and not schema:
        raise typer.BadParameter("give the batch's file, or --schema")
    if spec is None or schema:
        from storyloom.ui import batch_plan

        batch_plan.show_schema()
    elif dry_run:
        from storyloom.ui import batch_plan

        batch_plan.show(spec, as_json=as_json)
    else:
        from storyloom.ui import batch as running

        options = Options(
            engine=engine,
            workers=workers,
            gpus_per_worker=gpus_per_worker,
            ray_address=ray_address,
            report=report,
            as_json=as_json,
        )
        running.write(spec, options)
