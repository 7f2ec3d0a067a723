"""An answer that comes late."""

from time import monotonic

from storyloom.ui.studio.place import Place
from storyloom.ui.studio.whereabouts import Whereabouts

MAIN, OTHER = Place("story", "main", depth=3), Place("story", "other", depth=1)


def test_what_was_begun_at_a_strand_that_was_left_is_not_shown() -> None:
    pages = Whereabouts()
    assert pages.fits("page", Place(), MAIN, began=0.0)
    assert pages.fits("page", MAIN, OTHER, began=0.0)
    assert not pages.fits("page", MAIN, MAIN, began=0.0)
    assert not pages.fits("page", MAIN, None, began=0.0)
    assert pages.fits("page", OTHER, None, began=0.0)
    assert pages.fits("page", OTHER, MAIN, began=0.0)
    assert not pages.fits("page", OTHER, OTHER, began=0.0)


def test_what_leads_where_the_page_is_is_shown() -> None:
    pages = Whereabouts()
    assert pages.fits("page", MAIN, OTHER, began=0.0)
    assert pages.fits("page", MAIN, Place("story", "other", depth=9), began=0.0)


def test_what_was_begun_before_any_strand_is_shown() -> None:
    pages = Whereabouts()
    assert pages.fits("page", Place(), MAIN, began=0.0)
    assert pages.fits("page", Place("story"), None, began=0.0)
    assert pages.fits("page", Place(), OTHER, began=0.0)


def test_pages_know_nothing_of_each_other_and_what_is_no_page_is_shown() -> None:
    pages = Whereabouts()
    assert pages.fits("one", MAIN, OTHER, began=0.0)
    assert pages.fits("two", MAIN, MAIN, began=0.0)
    assert pages.fits(None, MAIN, MAIN, began=0.0)
    assert not pages.fits("one", MAIN, MAIN, began=0.0)


def test_what_began_long_after_is_shown_wherever_it_leads() -> None:
    pages, later = Whereabouts(), monotonic() + 60
    assert pages.fits("page", MAIN, OTHER, began=0.0)
    assert pages.fits("page", MAIN, None, began=later)
    assert pages.fits("page", MAIN, MAIN, began=later)
    assert not pages.fits("page", OTHER, OTHER, began=0.0)
