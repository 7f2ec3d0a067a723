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


@models_app.command("train")
def models_train(  # noqa: PLR0913, PLR0917  (typer: a parameter an option)
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The model's folder; it is replaced at the end.")
    ],
    text: Annotated[
        Path | None,
        typer.Option("--text", metavar="FOLDER", help="Books, a UTF-8 .txt file each, in folders or not."),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option("--tokens", help="How many to read in all; 0, or not given: every book once."),
    ] = None,
    lengths: Annotated[
        str | None,
        typer.Option(
            "--lengths",
            metavar="N,N…",
            help="Tokens that are learned from at once, a share of the training each [2048].",
        ),
    ] = None,
    rows: Annotated[int | None, typer.Option("--rows", help="Books that are read side by side [1].")] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone", metavar="HOW", help="How the LLaMA itself learns: frozen, lora or full [frozen]."
        ),
    ] = None,
    optimizer: Annotated[
        str | None, typer.Option("--optimizer", metavar="NAME", help="adamw or muon [adamw].")
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", help="The learning rate of what the LLaMA hasn't [0.001].")
    ] = None,
    backbone_rate: Annotated[
        float | None,
        typer.Option("--backbone-rate", help="The LLaMA's learning rate [0.00002; 0.0002 for lora]."),
    ] = None,
    needles: Annotated[
        float | None,
        typer.Option(
            "--needles", metavar="SHARE", help="Share of steps that read texts with hidden keys [0]."
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option("--teacher", metavar="SPEC", help="The LLaMA to come near to, instead of the text."),
    ] = None,
    anneal: Annotated[
        float | None,
        typer.Option(
            "--anneal",
            metavar="SHARE",
            help="Share of the training in which a hybrid's attention beside Mamba goes to nothing, or "
            "landmarks come to choose the blocks [0].",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="What chance is drawn from [0].")] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", help="Stop after so many; the same command goes on.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let a model learn from books; called again, it goes on where it stopped."""
    from storyloom.ui import training

    given = {
        "tokens": tokens,
        "lengths": lengths,
        "rows": rows,
        "backbone": backbone,
        "optimizer": optimizer,
        "learning_rate": rate,
        "backbone_rate": backbone_rate,
        "needles": needles,
        "teacher": teacher,
        "anneal": anneal,
        "seed": seed,
    }
    options = {name: value for name, value in given.items() if value is not None}
    training.train(folder, text, options, minutes=minutes, as_json=as_json)


@models_app.command("eval")
def models_eval(  # noqa: PLR0913, PLR0917  (typer: a parameter an option)
    folder: Annotated[
        str,
        typer.Argument(metavar="DIR", help="The model's folder; or starter, gguf:PATH or hf:REPO_OR_DIR."),
    ],
    suite: Annotated[
        str, typer.Option("--suite", metavar="SUITE", help="perplexity, needles, nouns, cost or all.")
    ] = "all",
    text: Annotated[
        Path | None,
        typer.Option("--text", metavar="FOLDER", help="Books as .txt files; perplexity needs them."),
    ] = None,
    length: Annotated[
        int | None, typer.Option("--length", metavar="N", help="Tokens of the longest text.")
    ] = None,
    books: Annotated[int, typer.Option("--books", metavar="N", help="How many to read at most.")] = 8,
    segment: Annotated[
        int, typer.Option("--segment", metavar="N", help="Tokens after which the memory is carried on.")
    ] = 2048,
    continuous: Annotated[
        bool,
        typer.Option("--continuous", help="Let attention go on from segment to segment as well."),
    ] = False,
    tries: Annotated[
        int, typer.Option("--tries", metavar="N", help="Texts with needles or nouns of each kind.")
    ] = 4,
    seed: Annotated[int, typer.Option("--seed", help="What books, keys and intervals are drawn from.")] = 0,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE.svg", help="The chart; in the data folder by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure what a model remembers of long texts, and what it costs.

    Perplexity compares the memory with the same one zeroed and with one that another book has filled:
    only what is better than both is memory. Needles are keys to be found, nouns a list that comes again,
    cost is time and bytes beside full attention and a window.
    """
    from storyloom.ui import evaluating

    evaluating.evaluate(
        folder,
        suite,
        plot,
        text=text,
        length=length,
        books=books,
        segment=segment,
        way="continuous" if continuous else "segmented",
        tries=tries,
        seed=seed,
        as_json=as_json,
    )
