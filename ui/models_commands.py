"""``models``: what each of its commands takes."""

from pathlib import Path
from typing import Annotated

import typer

from storyloom.ui.options import EVERYWHERE, AsJson

models_app = typer.Typer(
    help="Text models that are kept in the data folder.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=EVERYWHERE,
)


@models_app.command("list")
def models_list(as_json: AsJson = False) -> None:
    """List the models that can be named, and whether their weights are here."""
    from storyloom.ui import machine

    machine.list_models(as_json=as_json)


@models_app.command("pull")
def models_pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model, such as starter.")],
    as_json: AsJson = False,
) -> None:
    """Fetch a model's weights into the data folder."""
    from storyloom.ui import machine

    machine.pull(name, as_json=as_json)


@models_app.command("convert")
def models_convert(  # noqa: PLR0917  (typer: a parameter an option)
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="A LLaMA: starter, gguf:PATH or hf:REPO_OR_DIR.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The new model's folder.")],
    family: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FAMILY",
            help="titans, atlas, lact, hope, landmark or hybrid; see docs/models.md.",
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="One of the family's options; may come again."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="What the new weights are drawn from.")] = 0,
    rope: Annotated[
        str | None,
        typer.Option(
            "--rope",
            metavar="NAME:FACTOR",
            help="Read texts longer by a factor: linear, dynamic, yarn, abf or truncated, such as yarn:4.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a long-context model out of a LLaMA, which writes as the LLaMA does until it is trained."""
    from storyloom.ui import machine

    machine.convert(source, family, folder, settings or [], seed, rope, as_json=as_json)
