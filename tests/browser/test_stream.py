"""The stream that answers come by stays open for whoever awaits one."""

from typing import Any

import pytest

pytestmark = pytest.mark.browser

# A server in the page: every stream that is asked for can be spoken into.
SERVER = """() => {
  const real = window.fetch;
  window.streams = [];
  window.fetch = async (what, how) => {
    const url = String(what.url ?? what);
    if (url.includes('/there/queue/join')) return Response.json({event_id: url.split('=')[1]});
    if (!url.includes('/there/queue/data')) return real(what, how);
    let speaks;
    const body = new ReadableStream({start: controller => { speaks = controller; }});
    const coder = new TextEncoder();
    window.streams.push({
      say: (msg, event_id) => speaks.enqueue(coder.encode(`data: ${JSON.stringify({msg, event_id})}\\n\\n`)),
      end: () => speaks.close(),
    });
    return new Response(body, {headers: {'content-type': 'text/event-stream'}});
  };
}"""
LISTEN = """async () => {
  window.heard = [];
  const answer = await fetch('/there/queue/data');
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  (async () => {
    for (;;) {
      const {value, done} = await reader.read();
      if (done) return window.heard.push('end');
      for (const part of value.split('\\n\\n').filter(Boolean)) {
        const told = JSON.parse(part.slice(5));
        window.heard.push([told.msg, told.event_id].filter(Boolean).join(' '));
      }
    }
  })();
}"""


@pytest.fixture
def page(server: Any, tabs: Any) -> Any:
    """A page whose requests to there are answered by the test."""
    page = tabs.open(server.url)
    page.add_init_script(f"({SERVER})()")  # before the page's own
    page.reload()
    page.locator("#premise textarea").wait_for()
    return page


def joins(page: Any, event: str) -> None:
    page.evaluate(f"fetch('/there/queue/join?id={event}').then(answer => answer.json())")


def says(page: Any, stream: int, message: str, event: str | None = None) -> None:
    page.evaluate(
        "([stream, message, event]) => window.streams[stream].say(message, event)", [stream, message, event]
    )


def hears(page: Any, *expected: str) -> None:
    page.wait_for_function("expected => window.heard.join() === expected", arg=",".join(expected))


def test_what_is_begun_while_the_stream_closes_is_answered(page: Any) -> None:
    joins(page, "one")
    page.evaluate(LISTEN)
    says(page, 0, "process_completed", "one")
    joins(page, "two")
    says(page, 0, "close_stream")
    page.wait_for_function("window.streams.length === 2")
    says(page, 1, "process_generating", "two")
    hears(page, "process_completed one", "process_generating two")
    says(page, 1, "process_completed", "two")
    says(page, 1, "close_stream")
    hears(
        page,
        "process_completed one",
        "process_generating two",
        "process_completed two",
        "close_stream",
        "end",
    )
    assert page.evaluate("window.streams.length") == 2


def test_a_stream_on_which_nothing_is_awaited_closes(page: Any) -> None:
    page.evaluate(LISTEN)
    says(page, 0, "process_completed", "one")  # its join is answered later
    joins(page, "one")
    says(page, 0, "close_stream")
    hears(page, "process_completed one", "close_stream", "end")
    joins(page, "lost")
    page.evaluate(LISTEN)
    page.evaluate("window.streams[1].end()")  # as of a server that was ended
    hears(page, "end")
    page.evaluate(LISTEN)
    says(page, 2, "close_stream")
    hears(page, "close_stream", "end")
    assert page.evaluate("window.streams.length") == 3
