"""Arguments and options that several commands share."""

from typing import Annotated, Any

import typer

EVERYWHERE: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

StoryReference = Annotated[
    str, typer.Argument(metavar="STORY", help="A story's id, the beginning of its id, or its title.")
]
StrandReference = Annotated[
    str | None,
    typer.Option("--strand", metavar="STRAND", help="A strand's id, the beginning of it, or its name."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
ModelSpec = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="SPEC",
        help="starter, gguf:PATH, hf:REPO_OR_DIR or openai:MODEL@BASE_URL.",
    ),
]
