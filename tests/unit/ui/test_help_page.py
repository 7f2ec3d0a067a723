from pathlib import Path

import pytest

from storyloom.ui import help_page

PAGE = Path(__file__).resolve().parents[3] / "docs" / "cli.md"


def test_the_documentation_holds_todays_help() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert help_page.refreshed(page) == page, "run: python -m storyloom.ui.help_page docs/cli.md"


def test_what_stands_before_the_help_is_kept() -> None:
    page = help_page.refreshed(f"Ours.\n{help_page.BEGINNING}old help")
    assert page.startswith(f"Ours.\n{help_page.BEGINNING}\n## storyloom\n")
    assert "## storyloom models pull\n" in page
    assert "old help" not in page


def test_a_page_without_the_mark_is_left_alone() -> None:
    with pytest.raises(ValueError, match="no line"):
        help_page.refreshed("Nothing to see.")
