import io
from dataclasses import replace

from rich.console import Console

from storyloom.memory.story import Step, Story
from storyloom.ui.live import Draft, LiveProgress
from storyloom.ui.stopping import Stop


def drawn(draft: Draft, *, height: int = 40) -> str:
    """The draft as a terminal of 40 columns shows it."""
    console = Console(file=io.StringIO(), width=40, height=height, record=True)
    console.print(draft)
    return console.export_text()


def test_a_draft_shows_plan_words_and_stage() -> None:
    draft = Draft("Mara knocks.")
    draft.doing = "step 3: writing"
    draft.add("Mara ")
    draft.add("knocked.")
    assert drawn(draft).split("\n")[:3] == ["Mara knocks.", "Mara knocked.", "step 3: writing …"]


def test_a_redraw_takes_the_words_away() -> None:
    draft = Draft("Mara knocks.")
    draft.add("Here is the next paragraph:")
    draft.restart()
    draft.add("Mara")
    assert "Here is" not in drawn(draft)
    assert "Mara\n" in drawn(draft)


def test_a_long_draft_shows_its_end() -> None:
    draft = Draft()
    for number in range(200):
        draft.add(f"word{number} ")
    shown = drawn(draft, height=12)
    assert len(shown.strip().split("\n")) <= 12
    assert "word199" in shown
    assert "word0 " not in shown


def test_model_text_is_no_markup_and_no_escape() -> None:
    draft = Draft()
    draft.add("[bold]Mara[/bold]\x1b[2J said")
    assert "[bold]Mara[/bold][2J said" in drawn(draft)


def test_the_committed_paragraph_stands_on_the_terminal(story: Story, step: Step) -> None:
    file = io.StringIO()
    console = Console(file=file, width=60, height=30, force_terminal=True, color_system=None, markup=False)
    progress = LiveProgress(Stop(), console)
    try:
        progress.on_story(replace(story, outline=""))
        progress.on_story(story)
        progress.on_plan(step.plan, step.depth)
        progress.on_stage("writing", step.depth)
        progress.on_text("A draft")
        progress.on_text(" that goes")
        progress.on_redraw("too short")
        progress.on_text("Mara knocked")
        progress.on_text(", and")
        progress.on_notice("The outline was shortened.")
        progress.on_step(step)
    finally:
        progress.close()
    shown = file.getvalue()
    assert shown.count("The Door in the Sea") == 1
    assert "3. Mara knocks." in shown
    assert "Mara knocked, and the sea\nknocked back." in shown.replace("\r", "")
    assert "tokens/s" in shown
    assert "The outline was shortened." in shown


def test_speed_is_pieces_a_second() -> None:
    draft = Draft()
    assert draft.speed == 0.0
    draft.add("Mara")
    assert draft.speed == 0.0
    draft._meter._first -= 2.0
    draft.add(" knocked")
    assert 0.4 < draft.speed <= 0.5


def test_work_beside_the_writing_stands_under_the_draft_until_it_is_done() -> None:
    console = Console(file=io.StringIO(), width=80)
    progress = LiveProgress(Stop(), console)
    try:
        progress.on_progress("passages to embed", 32, 2000)
        progress.on_plan("Mara knocks.", 3)
        progress.show_stage("step 3: writing")
        assert "step 3: writing …   passages to embed:" in drawn(progress._draft)
        progress.on_progress("passages to embed", 2000, 2000)
        assert "embed" not in drawn(progress._draft)
    finally:
        progress.close()
