"""``models``: what each of its commands takes."""

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
