import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from storyloom.ui.auth import user_line
from tests.page_server import SLOWLY, VERY_SLOWLY

pytestmark = pytest.mark.browser

PREMISE = "Mara keeps a lighthouse and finds a door in the sea."
HEIGHTS = {1440: 900, 390: 844}


def begin(page: Page, premise: str = PREMISE) -> str:
    """Start a story on the page and wait for its first paragraph; gives the story's id."""
    page.locator("#premise textarea").fill(premise)
    page.locator("#begin").click()
    written(page, 1)
    return story_id(page)


def story_id(page: Page) -> str:
    expect(page).to_have_url(re.compile(r"story=\w+"))
    found = re.search(r"story=(\w+)", page.url)
    assert found is not None
    return found[1]


def written(page: Page, paragraphs: int) -> None:
    """Wait until that many paragraphs are committed and the next can be asked for."""
    expect(page.locator("#text .paragraph")).to_have_count(paragraphs)
    expect(page.locator("#write")).to_be_visible()


def write_on(page: Page, paragraphs: int) -> None:
    page.locator("#write").click()
    written(page, paragraphs)


def streams(page: Page, letters: int = 40) -> None:
    """Wait until words of the next paragraph have come."""
    words = "document.querySelector('#draft [aria-busy] p:not(.quiet)')?.innerText"
    page.wait_for_function(f"letters => ({words} || '').length > letters", arg=letters)


def offered(page: Page, number: int) -> str:
    """The plan of that number, once the first paragraph has brought one."""
    plan = page.locator(f"#plan-{number} textarea")
    expect(plan).to_have_value(re.compile(r"\w"))
    return plan.input_value()


def text_is(page: Page, text: str) -> None:
    """Wait until the page shows this text, its heading and all."""
    expect(page.locator("#text article")).to_have_text(text, use_inner_text=True)


def write_so(page: Page, how: str) -> None:
    """Have the next paragraph written slowly or very slowly, and wait until words of it have come."""
    page.locator("#own-plan textarea").fill(f"Mara waits {how}.")
    page.locator("#write").click()
    streams(page)


def open_panel(page: Page, panel: str, inside: str) -> None:
    if not page.locator(inside).is_visible():
        page.locator(f"{panel} button.label-wrap").click()
    expect(page.locator(inside)).to_be_visible()


def prompt_of(page: Page, depth: int) -> str:
    """The exact prompt of a paragraph, as the page's panel shows it."""
    page.locator(f"#text [data-depth='{depth}']").click()
    expect(page.locator("#provenance h4")).to_have_text(f"What went into paragraph {depth}")
    return page.locator("#provenance details[open] pre.prompt").first.inner_text()


def branch_from(page: Page, depth: int, last: int) -> None:
    """Branch at a paragraph; the box shows the last one once it is ready to be written in."""
    open_panel(page, "#about-paragraph", "#depth input")
    box = page.locator("#depth input")
    expect(box).to_have_value(str(last))
    box.fill(str(depth))
    box.press("Tab")
    expect(box).to_have_value(str(depth))
    page.locator("#branch").click()


def no_sideways_scroll(page: Page) -> None:
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")


def forms(page: Page, *widths: int) -> Iterator[str]:
    """The page dark and light, as wide as a desk's and a phone's or as asked; gives each form's name."""
    for dark in (True, False):
        page.emulate_media(color_scheme="dark" if dark else "light")
        expect(page.locator("body.dark")).to_have_count(int(dark))
        page.wait_for_timeout(400)  # colours fade
        for width in widths or (1440, 390):
            page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
            yield f"{width}-{'dark' if dark else 'light'}"


def test_a_story_is_begun_streams_is_kept_and_found_again(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    page.locator("#premise textarea").fill(f"{PREMISE} It opens {SLOWLY}.")
    page.screenshot(path=shots / "begin-1440.png")
    page.locator("#begin").click()
    streams(page)
    before = page.locator("#draft").inner_text()
    page.screenshot(path=shots / "streaming-1440.png")
    streams(page, len(before) + 20)
    assert page.locator("#draft").inner_text().startswith(before.rstrip("▍ \n")[:40])
    written(page, 1)
    expect(page.locator("#text h1")).to_have_text("The Door in the Sea")
    expect(page.locator("#plans label")).to_have_count(4)

    story = story_id(page)
    text = page.locator("#text article").inner_text()
    page.reload()
    written(page, 1)
    text_is(page, text)
    assert server.cli("show", story)["steps"][0]["paragraph"] in text

    page.locator("#masthead nav > a").click()
    expect(page.locator(f"#shelf a[href='?story={story}']")).to_have_text("The Door in the Sea")
    page.screenshot(path=shots / "stories-1440.png")
    page.locator(f"#shelf a[href='?story={story}']").click()
    written(page, 1)


def test_a_plan_is_chosen_or_typed(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    chosen = offered(page, 2)
    page.locator("#write-plan-2").click()
    written(page, 2)
    page.locator("#own-plan textarea").fill("Mara rows out to meet the boat.")
    write_on(page, 3)
    expect(page.locator("#own-plan textarea")).to_have_value("")
    steps = server.cli("show", story)["steps"]
    assert steps[1]["plan"] == chosen
    assert steps[2]["plan"] == "Mara rows out to meet the boat."
    assert "Mara rows out to meet the boat." in prompt_of(page, 3)


def test_an_edit_of_the_memory_reaches_the_next_prompt(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    edit = "Mara is afraid of the number nine. She has a brother named Tobias."
    page.locator("#memory textarea").fill(edit)
    page.locator("#save-memory").click()
    expect(page.locator("#memory-note")).to_contain_text("Saved")
    write_on(page, 2)
    assert "Mara is afraid of the number nine." in prompt_of(page, 2)
    page.screenshot(path=shots / "prompt-1440.png")
    kept = server.cli("show", story, "--prompt", "2")
    assert "Mara is afraid of the number nine." in kept["prompt"]
    assert "She has a brother named Tobias." in kept["prompt"]
    expect(page.locator("#memory-change h4")).to_have_text("Changed by paragraph 2")


def test_stopped_words_are_offered_back(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    write_so(page, VERY_SLOWLY)
    page.locator("#stop").click()
    words = page.locator("#cut-off blockquote")
    expect(words).to_be_visible()
    written(page, 1)
    kept = words.inner_text()
    assert len(kept) > 20
    page.screenshot(path=shots / "stopped-1440.png")
    page.reload()
    expect(words).to_have_text(kept)
    page.locator("#take-words").click()
    expect(page.locator("#own-plan textarea")).to_have_value(kept)
    page.locator("#dismiss").click()
    expect(page.locator("#cut-off")).to_be_hidden()
    assert len(server.cli("show", story)["steps"]) == 1


def test_a_branch_goes_its_own_way(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    write_on(page, 2)
    write_on(page, 3)
    main = page.locator("#text article").inner_text()
    branch_from(page, 1, last=3)
    expect(page.locator("#text .paragraph")).to_have_count(1)
    expect(page).to_have_url(re.compile("strand="))
    write_on(page, 2)
    branched = page.locator("#text article").inner_text()
    assert branched != main
    page.reload()
    written(page, 2)
    text_is(page, branched)
    open_panel(page, "#strands-panel", "#strands input")
    page.locator("#strands input").click()
    page.get_by_role("option", name=re.compile("The story")).click()
    written(page, 3)
    text_is(page, main)
    assert sorted(strand["steps"] for strand in server.cli("branches", story)["strands"]) == [2, 3]


def test_the_text_lies_as_it_was_left_for_another_tab(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    begin(page)
    for paragraphs in range(2, 5):
        write_on(page, paragraphs)
    page.set_viewport_size({"width": 1440, "height": 500})
    page.wait_for_timeout(500)  # the page scrolls to what has come
    page.evaluate("scrollTo(0, 200)")
    page.get_by_role("tab", name="Memory").click()
    expect(page.locator("#notes")).to_be_in_viewport()
    page.wait_for_function("scrollY === 0")
    page.get_by_role("tab", name="Write").click()
    page.wait_for_function("Math.abs(scrollY - 200) < 2")


def test_a_story_is_downloaded(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    page.get_by_text("Download", exact=True).click()
    with page.expect_download() as markdown:
        page.get_by_role("link", name="Markdown").click()
    assert markdown.value.suggested_filename == "The Door in the Sea.md"
    assert "The Door in the Sea" in markdown.value.path().read_text(encoding="utf-8")
    with page.expect_download() as whole:
        page.get_by_role("link", name="everything").click()
    assert story in json.dumps(json.loads(whole.value.path().read_text(encoding="utf-8")))


def test_two_tabs_on_one_story_lose_and_double_nothing(server: Any, tabs: Any) -> None:
    first = tabs.open(server.url)
    story = begin(first)
    second = tabs.open(f"{server.url}?story={story}")
    written(second, 1)
    write_so(first, SLOWLY)
    second.locator("#write").click()
    for tab in (first, second):
        expect(tab.locator("#stop")).to_be_visible()
    for tab in (first, second):
        expect(tab.locator("#write")).to_be_visible()
        tab.reload()
        written(tab, 3)
    assert [step["depth"] for step in server.cli("show", story)["steps"]] == [1, 2, 3]
    write_on(first, 4)
    second.locator("#write-plan-1").click()
    expect(second.locator("#notice")).to_contain_text("went on elsewhere")
    written(second, 4)


def test_a_closed_tab_changes_nothing_and_a_new_one_attaches(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    story = begin(page)
    write_so(page, SLOWLY)
    page.close()
    again = tabs.open(f"{server.url}?story={story}")
    written(again, 2)
    assert len(server.cli("show", story)["steps"]) == 2


def test_a_killed_server_offers_the_words_back(own_server: Callable[..., Any], tabs: Any) -> None:
    server = own_server()
    page = tabs.open(server.url)
    story = begin(page)
    write_so(page, VERY_SLOWLY)
    seen = page.locator("#draft").inner_text()[:15]
    streams(page, 140)
    server.kill()
    page.close()
    tabs.complaints.clear()  # a page whose server has died may complain
    server.start()
    after = tabs.open(f"{server.url}?story={story}")
    words = after.locator("#cut-off blockquote")
    for _ in range(60):  # the dead server's lease runs out within seconds
        written(after, 1)
        if words.is_visible():
            break
        after.reload()
    expect(words).to_contain_text(seen)
    assert len(server.cli("show", story)["steps"]) == 1


def test_hostile_text_is_shown_and_never_run(server: Any, tabs: Any, hostile: str) -> None:
    page = tabs.open(server.url, width=390, height=844)
    page.locator("#title").get_by_role("textbox").fill("HOSTILE <img src=x onerror='window.pwned = 9'>")
    begin(page, hostile)
    expect(page.locator("#plan-1 textarea")).to_have_value(re.compile("<script>window.pwned = 5</script>"))
    page.locator("#own-plan textarea").fill(hostile)
    page.locator("#memory textarea").fill(hostile)
    page.locator("#save-memory").click()
    expect(page.locator("#memory-note")).to_contain_text("Saved")
    write_on(page, 2)
    prompt_of(page, 2)
    open_panel(page, "#about-panel", "#about")
    expect(page.locator("#about")).to_contain_text("<script>window.pwned = 1</script>")
    expect(page.locator("#text")).to_contain_text("<script>window.pwned = 4</script>")
    expect(page.locator("#provenance pre.prompt").first).to_contain_text("<script>window.pwned = 1</script>")
    assert "{{7*7}}" in page.locator("#about").inner_text()
    no_sideways_scroll(page)
    page.locator("#masthead nav > a").click()
    expect(page.locator("#shelf")).to_contain_text("HOSTILE")
    no_sideways_scroll(page)
    assert page.evaluate("window.pwned") is None


def test_a_failing_model_is_told_in_a_paragraph(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url)
    begin(page)
    page.locator("#own-plan textarea").fill("FAIL HERE")
    page.locator("#write").click()
    expect(page.locator("#notice")).to_contain_text("The engine broke off: <b>no</b> such lamp.")
    expect(page.locator("#notice")).not_to_contain_text("Traceback")
    expect(page.locator("#own-plan textarea")).to_have_value("FAIL HERE")
    page.screenshot(path=shots / "error-1440.png")
    page.locator("#own-plan textarea").fill("")
    write_on(page, 2)
    expect(page.locator("#notice")).to_be_empty()


def test_bad_input_stays_on_the_page(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    page.locator("#premise textarea").fill("  ")
    page.locator("#begin").click()
    expect(page.locator("#notice")).to_contain_text("premise is empty")
    page.locator("#premise textarea").fill("long " * 10_000)
    page.locator("#begin").click()
    expect(page.locator("#notice")).to_contain_text("Shorten it")
    page.goto(f"{server.url}?story=nothing-like-it")
    expect(page.locator("#notice")).to_contain_text("nothing-like-it")
    expect(page.locator("#premise")).to_be_visible()


def test_the_page_fits(server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(server.url, width=390, height=844)
    no_sideways_scroll(page)
    begin(page)
    write_on(page, 2)
    for form in forms(page):
        no_sideways_scroll(page)
        column = page.locator("#text .paragraph p").first.bounding_box()
        assert column is not None
        assert column["width"] <= 600
        page.screenshot(path=shots / f"story-{form}.png")


def test_nothing_beneath_moves_while_words_come(server: Any, tabs: Any) -> None:
    page = tabs.open(server.url)
    begin(page)
    write_so(page, SLOWLY)
    top = page.evaluate("document.querySelector('#plans').offsetTop")
    streams(page, 200)
    assert page.evaluate("document.querySelector('#plans').offsetTop") == top


def test_a_page_where_nothing_happens_leaves_the_cores_to_the_model(server: Any, tabs: Any) -> None:
    def wakes() -> int:
        told = Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8")
        found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", told, re.MULTILINE)
        assert found is not None
        return int(found[1])

    page = tabs.open(server.url)
    page.add_init_script(
        "const ask = requestAnimationFrame; window.asked = 0;"
        "window.requestAnimationFrame = frame => { window.asked++; return ask.call(window, frame); }"
    )
    page.reload()
    begin(page)
    for _ in range(60):  # until whatever moves at first has come to rest
        before = page.evaluate("window.asked"), wakes()
        page.wait_for_timeout(500)
        frames, woken = page.evaluate("window.asked") - before[0], wakes() - before[1]
        if frames < 5 and woken < 150:
            return
    pytest.fail(f"Still {frames} frames and {woken} times awake in half a second.")


def test_each_user_sees_their_own_stories(own_server: Callable[..., Any], tabs: Any, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(f"{user_line('mara', 'light')}\n{user_line('tom', 'dark')}\n", encoding="utf-8")
    server = own_server("--auth-file", str(users))
    mara = tabs.open(server.url, http_credentials={"username": "mara", "password": "light"})
    story = begin(mara)
    tom = tabs.open(server.url, http_credentials={"username": "tom", "password": "dark"})
    expect(tom.locator("#shelf")).to_contain_text("No story yet")
    tom.goto(f"{server.url}?story={story}")
    expect(tom.locator("#notice")).to_contain_text(story)
    assert tom.request.get(f"{server.url}export/{story}.json").status == 404
    assert mara.request.get(f"{server.url}export/{story}.json").status == 200


@pytest.mark.model
def test_the_starter_writes_on_the_page(starter_server: Any, tabs: Any, shots: Path) -> None:
    page = tabs.open(starter_server.url)
    page.context.set_default_timeout(240_000)
    page.locator("#premise textarea").fill(PREMISE)
    page.locator("#begin").click()
    streams(page)
    page.screenshot(path=shots / "starter-streaming-1440.png")
    expect(page.locator("#text .paragraph")).to_have_count(1, timeout=240_000)
    expect(page.locator("#plans label")).to_have_count(4)
    page.locator("#memory textarea").fill("Mara has a brother named Tobias, who is blind.")
    page.locator("#save-memory").click()
    expect(page.locator("#memory-note")).to_contain_text("Saved")
    page.locator("#write-plan-2").click()
    expect(page.locator("#text .paragraph")).to_have_count(2, timeout=240_000)
    written(page, 2)  # what was picked before the end has settled is closed again
    assert "Mara has a brother named Tobias, who is blind." in prompt_of(page, 2)
    kept = starter_server.cli("show", story_id(page), "--prompt", "2")
    assert "Mara has a brother named Tobias, who is blind." in kept["prompt"]
    page.screenshot(path=shots / "starter-1440.png")
