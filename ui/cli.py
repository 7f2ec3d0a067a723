"""The command line: what each command takes. What it does is in the module that it imports."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from storyloom.memory.story import Mode
from storyloom.ui.batch_command import batch
from storyloom.ui.boundary import boundary
from storyloom.ui.lore_commands import characters_app, lore_app
from storyloom.ui.models_commands import models_app
from storyloom.ui.options import EVERYWHERE, AsJson, ModelSpec, StoryReference, StrandReference


class _Commands(TyperGroup):
    """Commands whose problems end in one paragraph and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named, inside the boundary."""
        with boundary():
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    help="Writes books and plays them, on your own machine, with local models that remember.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=EVERYWHERE,
)
app.add_typer(lore_app, name="lore")
app.add_typer(characters_app, name="characters")
app.add_typer(models_app, name="models")


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(version("storyloom"))
        raise typer.Exit


@app.callback()
def storyloom(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Writes books and plays them, on your own machine, with local models that remember."""


@app.command()
def write(  # noqa: PLR0913, PLR0917  (typer: a parameter an option)
    premise: Annotated[
        str, typer.Argument(metavar="PREMISE", help="What the story is about: text, @FILE, or - for stdin.")
    ],
    title: Annotated[
        str, typer.Option(metavar="TEXT", help="Its title; the planner finds one otherwise.")
    ] = "",
    mode: Annotated[Mode, typer.Option(help="What kind of text it is.")] = Mode.NOVEL,
    paragraphs: Annotated[int, typer.Option(min=1, metavar="N", help="How many paragraphs to write.")] = 6,
    model: ModelSpec = None,
    seed: Annotated[int | None, typer.Option(min=0, metavar="N", help="Where chance starts from.")] = None,
    language: Annotated[str, typer.Option(metavar="TAG", help="Its language, such as en or pt-BR.")] = "",
    style: Annotated[str, typer.Option(metavar="TEXT", help="How it is told: text, or @FILE.")] = "",
    as_json: AsJson = False,
) -> None:
    """Start a story and write its first paragraphs."""
    from storyloom.ui import writing

    beginning = writing.beginning(premise, title, mode, language, style, seed)
    writing.write(beginning, paragraphs=paragraphs, model=model, as_json=as_json)


@app.command("continue")
def continue_(  # noqa: PLR0917  (typer: a parameter an option)
    story: StoryReference,
    paragraphs: Annotated[int, typer.Option(min=1, metavar="N", help="How many paragraphs to write.")] = 1,
    plan: Annotated[str | None, typer.Option(metavar="TEXT", help="What shall happen next.")] = None,
    choose: Annotated[
        int | None, typer.Option(min=1, max=3, metavar="1|2|3", help="Which of the offered plans to take.")
    ] = None,
    strand: StrandReference = None,
    model: ModelSpec = None,
    as_json: AsJson = False,
) -> None:
    """Write the next paragraphs of a story."""
    if plan is not None and choose is not None:
        raise typer.BadParameter("give --plan or --choose, not both")
    from storyloom.ui import writing

    wish = writing.wish(plan, choose)
    writing.go_on(story, wish, strand=strand, paragraphs=paragraphs, model=model, as_json=as_json)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the stories, the last touched first."""
    from storyloom.ui import reading

    reading.list_stories(as_json=as_json)


@app.command()
def show(
    story: StoryReference,
    prompt: Annotated[
        int | None,
        typer.Option(min=1, metavar="DEPTH", help="The prompt of that step, and what went into it."),
    ] = None,
    journal: Annotated[
        bool, typer.Option("--journal", help="Paragraphs that were cut off before they were kept.")
    ] = False,
    strand: StrandReference = None,
    as_json: AsJson = False,
) -> None:
    """Print a story, or what the writer was asked at one of its steps."""
    if prompt is not None and journal:
        raise typer.BadParameter("give --prompt or --journal, not both")
    from storyloom.ui import reading

    if prompt is not None:
        reading.show_prompt(story, prompt, strand=strand, as_json=as_json)
    elif journal:
        reading.show_journals(story, strand=strand, as_json=as_json)
    else:
        reading.show(story, strand=strand, as_json=as_json)


@app.command()
def memory(  # noqa: PLR0913, PLR0917  (typer: a parameter an option)
    story: StoryReference,
    set_short: Annotated[
        str | None,
        typer.Option(metavar="TEXT|@FILE", help="Replace the short-term memory; the old page is kept."),
    ] = None,
    search: Annotated[
        str | None, typer.Option(metavar="QUERY", help="Ask long-term memory: passages, best first.")
    ] = None,
    blame: Annotated[
        bool, typer.Option("--blame", help="Which step brought each sentence, and why others left.")
    ] = False,
    why: Annotated[
        int | None,
        typer.Option(min=1, metavar="DEPTH", help="What each remembered item did to that step's paragraph."),
    ] = None,
    pin: Annotated[
        str | None, typer.Option(metavar="NUMBER|WORDS", help="Keep a sentence, whatever comes.")
    ] = None,
    unpin: Annotated[
        str | None, typer.Option(metavar="NUMBER|WORDS", help="Let a sentence go again.")
    ] = None,
    pending: Annotated[
        bool, typer.Option("--pending", help="Changes that wait for your word (setting approve_memory).")
    ] = False,
    approve: Annotated[
        str | None, typer.Option(metavar="DEPTH|all", help="Take up the changes that a step proposed.")
    ] = None,
    reject: Annotated[
        str | None, typer.Option(metavar="DEPTH|all", help="Turn down the changes that a step proposed.")
    ] = None,
    stale: Annotated[
        bool, typer.Option("--stale", help="What was made from texts that were edited since.")
    ] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make again what is stale.")] = False,
    settle: Annotated[
        bool, typer.Option("--settle", help="Let paragraphs stand that were written from old texts.")
    ] = False,
    strand: StrandReference = None,
    as_json: AsJson = False,
) -> None:
    """Print, change, search, explain or rebuild what a story remembers."""
    from storyloom.ui import editing, explaining, remembering

    actions: dict[str, tuple[Any, Callable[[], None]]] = {
        "--set-short": (
            set_short,
            lambda: remembering.rewrite(story, set_short or "", strand=strand, as_json=as_json),
        ),
        "--search": (search, lambda: remembering.search(story, search or "", strand=strand, as_json=as_json)),
        "--blame": (blame or None, lambda: remembering.blame(story, strand=strand, as_json=as_json)),
        "--why": (why, lambda: explaining.why(story, why or 0, strand=strand, as_json=as_json)),
        "--pin": (
            pin,
            lambda: remembering.pin(story, pin or "", pinned=True, strand=strand, as_json=as_json),
        ),
        "--unpin": (
            unpin,
            lambda: remembering.pin(story, unpin or "", pinned=False, strand=strand, as_json=as_json),
        ),
        "--pending": (pending or None, lambda: remembering.pending(story, strand=strand, as_json=as_json)),
        "--approve": (
            approve,
            lambda: remembering.decide(story, approve or "", approve=True, strand=strand, as_json=as_json),
        ),
        "--reject": (
            reject,
            lambda: remembering.decide(story, reject or "", approve=False, strand=strand, as_json=as_json),
        ),
        "--stale": (stale or None, lambda: editing.stale(story, strand=strand, as_json=as_json)),
        "--rebuild": (rebuild or None, lambda: editing.rebuild(story, strand=strand, as_json=as_json)),
        "--settle": (settle or None, lambda: editing.settle(story, strand=strand, as_json=as_json)),
    }
    given = [name for name, (value, _) in actions.items() if value is not None]
    if len(given) > 1:
        raise typer.BadParameter(f"give one of {' and '.join(given)}, not both")
    if given:
        actions[given[0]][1]()
    else:
        remembering.show(story, strand=strand, as_json=as_json)


@app.command()
def edit(
    story: StoryReference,
    depth: Annotated[int, typer.Argument(min=1, metavar="DEPTH", help="The step whose paragraph it is.")],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The new text: itself, @FILE, or - for stdin.")],
    strand: StrandReference = None,
    as_json: AsJson = False,
) -> None:
    """Replace a paragraph; the old text is kept, and what depended on it is marked stale."""
    from storyloom.ui import editing

    editing.edit(story, depth, text, strand=strand, as_json=as_json)


@app.command()
def rewrite(  # noqa: PLR0913, PLR0917  (typer: a parameter an option)
    story: StoryReference,
    at: Annotated[int, typer.Option("--at", min=1, metavar="DEPTH", help="The step whose paragraph it is.")],
    instruction: Annotated[
        str, typer.Option(metavar="TEXT", help="What shall change: text, @FILE, or - for stdin.")
    ],
    words: Annotated[
        str, typer.Option(metavar="TEXT", help="The words to rewrite, as they stand there; else all of it.")
    ] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Put the new words in, as an edit by hand.")] = False,
    seed: Annotated[int | None, typer.Option(min=0, metavar="N", help="Where chance starts from.")] = None,
    strand: StrandReference = None,
    model: ModelSpec = None,
    as_json: AsJson = False,
) -> None:
    """Let the model put a paragraph, or words of it, otherwise.

    The new words are printed; with --keep they take the place of the old ones, which `undo` brings back.
    """
    from storyloom.ui import rewriting

    rewriting.rewrite(
        story,
        at,
        instruction,
        words=words,
        keep=keep,
        strand=strand,
        seed=seed,
        model=model,
        as_json=as_json,
    )


@app.command()
def revisions(story: StoryReference, as_json: AsJson = False) -> None:
    """List every edit by hand, the newest first."""
    from storyloom.ui import editing

    editing.revisions(story, as_json=as_json)


@app.command()
def undo(
    story: StoryReference,
    revision: Annotated[
        str,
        typer.Argument(metavar="[REVISION]", help="Its id or the beginning of it; the newest by default."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Bring back what an edit replaced."""
    from storyloom.ui import editing

    editing.undo(story, revision, as_json=as_json)


@app.command()
def settings(
    story: StoryReference,
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="New values; an empty one goes back to the default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print or change a story's own settings: author's note, weaver, recall, lore, sampling and more.

    preset=NAME takes over a preset of the sampling, one of yours or Steady, Balanced, Lively and Wild.
    """
    from storyloom.ui import editing

    editing.settings(story, changes or [], as_json=as_json)


@app.command()
def branch(
    story: StoryReference,
    at: Annotated[int, typer.Option("--at", min=1, metavar="DEPTH", help="The last step that is kept.")],
    strand: StrandReference = None,
    name: Annotated[str, typer.Option(metavar="TEXT", help="What to call the new strand.")] = "",
    as_json: AsJson = False,
) -> None:
    """Start a new strand that keeps the steps up to a depth."""
    from storyloom.ui import keeping

    keeping.branch(story, at, strand=strand, name=name, as_json=as_json)


@app.command()
def branches(
    story: StoryReference,
    archive: Annotated[
        str | None, typer.Option(metavar="STRAND", help="Archive this strand; it keeps everything.")
    ] = None,
    restore: Annotated[
        str | None, typer.Option(metavar="STRAND", help="Take this strand out of the archive.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the strands of a story, or archive one and bring it back.

    The page leaves archived strands out of its lists.
    """
    if archive is not None and restore is not None:
        raise typer.BadParameter("give --archive or --restore, not both")
    from storyloom.ui import keeping, reading

    if archive is not None:
        keeping.archive(story, archive, as_json=as_json)
    elif restore is not None:
        keeping.restore(story, restore, as_json=as_json)
    else:
        reading.branches(story, as_json=as_json)


@app.command()
def delete(story: StoryReference, as_json: AsJson = False) -> None:
    """Delete a story; a copy of it goes to the trash.

    The trash is a folder in the data folder; what is there can be imported again.
    """
    from storyloom.ui import keeping

    keeping.delete(story, as_json=as_json)


@app.command()
def export(
    story: StoryReference,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Its suffix says the form: .md .txt .json")],
    strand: StrandReference = None,
    as_json: AsJson = False,
) -> None:
    """Write a story to a file.

    A .json loses nothing and can be imported again; .md and .txt are for reading.
    """
    from storyloom.ui import keeping

    keeping.export(story, file, strand=strand, as_json=as_json)


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A manuscript (.txt .md), or a .json that was exported.")
    ],
    as_json: AsJson = False,
) -> None:
    """Bring in a manuscript, or a story that was exported.

    Of a manuscript each paragraph becomes a step and headings begin chapters; no model runs. A .json
    keeps its ids, and a story that is already here is refused.
    """
    from storyloom.ui import keeping

    keeping.import_file(file, as_json=as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what is installed here, and whether it is well.

    Looks at libraries, device, data folder, database and weights; exits with 1 when something that
    is needed is broken.
    """
    from storyloom.ui import machine

    machine.doctor(as_json=as_json)


app.command()(batch)


@app.command()
def worker(
    batch: Annotated[
        str | None, typer.Option(metavar="NAME", help="Serve this batch alone; all of yours otherwise.")
    ] = None,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="End when everything that was queued has ended.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON document a line, each time a text changes hands.")
    ] = False,
) -> None:
    """Write the texts that are queued, beside whoever else does.

    Any number of workers may run, on any machine that reaches the database. When one of them dies,
    another goes on within seconds from the last paragraph that was kept.
    """
    from storyloom.ui import worker as serving

    serving.serve(batch=batch, until_done=until_done, as_json=as_json)


@app.command()
def ui(
    host: Annotated[str, typer.Option(metavar="HOST", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="The port; 0 takes a free one.")
    ] = 7860,
    auth_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Who may log in: one user a line, hashed.")
    ] = None,
) -> None:
    """Open the studio in the browser."""
    from storyloom.ui import machine

    machine.serve_page(host, port, auth_file)


def main() -> None:
    """Run the command line."""
    app(prog_name="storyloom")
