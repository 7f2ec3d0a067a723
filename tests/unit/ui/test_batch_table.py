import io

from rich.console import Console

from storyloom.memory.orders import TaskState
from storyloom.ui.batch_table import BatchTable, Rows, chosen
from tests.unit.ui.batches import progress, snapshot


def drawn(rows: Rows, *, height: int = 40, width: int = 100) -> list[str]:
    """The lines of a terminal."""
    console = Console(file=io.StringIO(), width=width, height=height, record=True)
    console.print(rows)
    return console.export_text().rstrip("\n").split("\n")


def test_a_row_tells_key_length_speed_and_time_left() -> None:
    lines = drawn(
        Rows(
            snapshot(
                progress("red", steps=5, words=600, tokens_per_second=38.4, seconds_left=130.0),
                progress("green"),
                progress("blue", TaskState.QUEUED),
                progress("white", TaskState.DONE, steps=10, words=1_300),
                progress("black", TaskState.FAILED),
            )
        )
    )
    assert lines[0].startswith("red ")
    assert "600 words, 5 of 10" in lines[0]
    assert lines[0].endswith("38 tokens/s  2:10")
    assert [line.split()[-1] for line in lines[1:5]] == ["writing", "waits", "done", "failed"]
    assert lines[5] == "1 of 5 stories done · 1 failed · 1,900 words · 38 tokens/s · 2:18 left"
    assert all(len(line) <= 100 for line in lines)


def test_where_not_all_fit_those_being_written_stay_in_sight() -> None:
    stories = [progress(f"story-{number}", TaskState.DONE) for number in range(50)]
    stories[40] = progress("story-40")
    stories[45] = progress("story-45", TaskState.FAILED)
    stories[47] = progress("story-47", TaskState.QUEUED)
    assert [story.task.key for story in chosen(tuple(stories), 4)] == [
        "story-0",
        "story-40",
        "story-45",
        "story-47",
    ]
    lines = drawn(Rows(snapshot(*stories)), height=12)
    assert len(lines) <= 12
    assert "… and 43 more" in lines


def test_a_long_key_is_cut_and_steers_no_terminal() -> None:
    lines = drawn(Rows(snapshot(progress("[bold]\x1b[2J" + "lamp" * 40))), width=80)
    assert lines[0].startswith("[bold][2Jlamp")
    assert "…" in lines[0]
    assert len(lines) == 2


def test_notices_stand_above_the_rows_and_the_rows_go_at_the_end() -> None:
    file = io.StringIO()
    console = Console(file=file, width=80, height=20, force_terminal=True, color_system=None, markup=False)
    with BatchTable(console) as table:
        table.show(snapshot(progress("red", steps=1, words=120)), [])
        table.notice("red: the outline was [shortened].")
    shown = file.getvalue()
    assert "red: the outline was [shortened].\n" in shown.replace("\r", "")
    assert "120 words, 1 of 10" in shown
