from storyloom.memory.story import Weaving
from storyloom.ui.studio import gauge_html


def weaving(budget: int, tokens: int) -> Weaving:
    return Weaving(strategy="plain", budget=budget, tokens=tokens, template="", values={})


def test_the_budget_is_a_bar_with_its_figures() -> None:
    shown = gauge_html.budget(weaving(2048, 1240))
    assert "1,240 of 2,048 tokens" in shown
    assert 'max="2048" value="1240"' in shown


def test_what_is_not_known_is_not_shown() -> None:
    assert gauge_html.budget(None) == ""
    assert gauge_html.budget(weaving(0, 0)) == ""
    assert gauge_html.speed(0.0) == ""


def test_speed_is_whole_tokens_and_not_read_aloud() -> None:
    assert gauge_html.speed(31.4) == '<p aria-hidden="true">31 tokens/s</p>'
