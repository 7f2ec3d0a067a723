"""``lore`` and ``characters``: what each of their commands takes."""

from pathlib import Path
from typing import Annotated

import typer

from storyloom.ui.options import EVERYWHERE, AsJson, StoryReference, StrandReference

lore_app = typer.Typer(
    help="What a story's world is made of, and when the writer is told.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=EVERYWHERE,
)
characters_app = typer.Typer(
    help="Who a story's people are.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=EVERYWHERE,
)

Which = Annotated[str, typer.Argument(metavar="WHICH", help="Its id, the beginning of its id, or its name.")]
Name = Annotated[str | None, typer.Option(metavar="TEXT", help="What you call it; never in a prompt.")]
Content = Annotated[
    str | None, typer.Option(metavar="TEXT|@FILE", help="What the writer is told; - for stdin.")
]
Keys = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="KEY", help="What brings it up: words, or /expression/flags. Repeatable."),
]
SecondaryKeys = Annotated[
    list[str] | None,
    typer.Option("--secondary", metavar="KEY", help="What else must be found, as `logic` says. Repeatable."),
]
Constant = Annotated[bool | None, typer.Option(help="The writer is told at every step.")]
Semantic = Annotated[bool | None, typer.Option(help="A likeness in meaning brings it up too.")]
Enabled = Annotated[bool | None, typer.Option("--enable/--disable", help="Whether the writer is ever told.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Any other field of docs/lore_entries.md. Repeatable."),
]
Description = Annotated[
    str | None, typer.Option(metavar="TEXT|@FILE", help="What a writer must know; - for stdin.")
]


@lore_app.callback()
def lore(context: typer.Context, story: StoryReference) -> None:
    """What a story's world is made of, and when the writer is told."""
    context.obj = story


@lore_app.command("list")
def lore_list(context: typer.Context, as_json: AsJson = False) -> None:
    """List the entries."""
    from storyloom.ui import lore

    lore.list_entries(context.obj, as_json=as_json)


@lore_app.command("add")
def lore_add(  # noqa: PLR0913, PLR0917  (typer: a parameter an option)
    context: typer.Context,
    content: Content = None,
    name: Name = None,
    keys: Keys = None,
    secondary: SecondaryKeys = None,
    constant: Constant = None,
    semantic: Semantic = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Add an entry."""
    from storyloom.ui import lore

    given = {"name": name, "keys": keys, "secondary_keys": secondary}
    flags = {"constant": constant, "semantic": semantic}
    lore.add_entry(context.obj, lore.fields(content, "content", {**given, **flags}, sets), as_json=as_json)


@lore_app.command("edit")
def lore_edit(  # noqa: PLR0913, PLR0917  (typer: a parameter an option)
    context: typer.Context,
    which: Which,
    content: Content = None,
    name: Name = None,
    keys: Keys = None,
    secondary: SecondaryKeys = None,
    constant: Constant = None,
    semantic: Semantic = None,
    enabled: Enabled = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Change an entry; what was not given stays."""
    from storyloom.ui import lore

    given = {"name": name, "keys": keys, "secondary_keys": secondary}
    flags = {"constant": constant, "semantic": semantic, "enabled": enabled}
    changed = lore.fields(content, "content", {**given, **flags}, sets)
    lore.edit_entry(context.obj, which, changed, as_json=as_json)


@lore_app.command("remove")
def lore_remove(context: typer.Context, which: Which, as_json: AsJson = False) -> None:
    """Remove an entry; `storyloom undo STORY` brings it back."""
    from storyloom.ui import lore

    lore.remove_entry(context.obj, which, as_json=as_json)


@lore_app.command("import")
def lore_import(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="SillyTavern, a character card, NovelAI or KoboldAI.")
    ],
    as_json: AsJson = False,
) -> None:
    """Bring in another program's lore and characters.

    SillyTavern's world info (.json), character cards V2 and V3 (.png and .json), NovelAI's lorebooks and
    stories, KoboldAI's saves. What can't be taken is listed; the rest is brought in.
    """
    from storyloom.ui import lore

    lore.bring_in(context.obj, file, as_json=as_json)


@lore_app.command("export")
def lore_export(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help=".json: SillyTavern; .png: a card; .lorebook: NovelAI."),
    ],
    form: Annotated[
        str, typer.Option("--format", metavar="NAME", help="sillytavern, card-v2, card-v3 or novelai.")
    ] = "",
    picture: Annotated[
        Path | None, typer.Option(metavar="PNG", help="The picture that a card as .png is put in.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write lore and characters in another program's form."""
    from storyloom.ui import lore

    lore.write_out(context.obj, file, form=form, picture=picture, as_json=as_json)


@lore_app.command("fire")
def lore_fire(
    context: typer.Context,
    text: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="The next step's plan: text, @FILE, or - for stdin.")
    ] = "",
    strand: StrandReference = None,
    as_json: AsJson = False,
) -> None:
    """Say which entries would fire at the next step, and why; which would not, and why not.

    The last paragraphs are looked at too, as at any step. Nothing is written.
    """
    from storyloom.ui import lore

    lore.fire(context.obj, text, strand=strand, as_json=as_json)


@characters_app.callback()
def characters(context: typer.Context, story: StoryReference) -> None:
    """Who a story's people are."""
    context.obj = story


@characters_app.command("list")
def characters_list(context: typer.Context, as_json: AsJson = False) -> None:
    """List the characters."""
    from storyloom.ui import lore

    lore.list_characters(context.obj, as_json=as_json)


@characters_app.command("add")
def characters_add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name that the story uses.")],
    description: Description = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Add a character."""
    from storyloom.ui import lore

    given = lore.fields(description, "description", {"name": name}, sets)
    lore.add_character(context.obj, given, as_json=as_json)


@characters_app.command("edit")
def characters_edit(
    context: typer.Context,
    which: Which,
    description: Description = None,
    enabled: Enabled = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Change a character; what was not given stays."""
    from storyloom.ui import lore

    given = lore.fields(description, "description", {"enabled": enabled}, sets)
    lore.edit_character(context.obj, which, given, as_json=as_json)


@characters_app.command("remove")
def characters_remove(context: typer.Context, which: Which, as_json: AsJson = False) -> None:
    """Remove a character; `storyloom undo STORY` brings it back."""
    from storyloom.ui import lore

    lore.remove_character(context.obj, which, as_json=as_json)
