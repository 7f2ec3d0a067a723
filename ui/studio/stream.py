"""Keeps a page's stream of answers open while anything is awaited on it.

Gradio's server closes the one stream of a page when nothing of the page is left in its queue, and the page
opens another with its next event. An event that is begun while the word of the closing is under way takes the
stream for open, and never hears its answer: a turn that was told stays unseen.
"""

# Reads along what is asked and answered. Where a closing comes while something is awaited, it isn't passed
# on: the stream is asked for again, and goes on in the same answer.
_HELD_OPEN = r"""(() => {
  const ask = window.fetch.bind(window);
  const awaited = new Set(), early = new Set();
  const lines = body => body.pipeThrough(new TextDecoderStream()).getReader();
  const joined = id => early.delete(id) || awaited.add(id);
  const completed = id => awaited.delete(id) || early.add(id);
  const whole = (first, again) => {
    let reader = lines(first);
    const pass = async out => {
      const coder = new TextEncoder();
      for (let rest = '';;) {
        const {value, done} = await reader.read();
        if (done) return awaited.clear();
        const messages = (rest + value).split('\n\n');
        rest = messages.pop();
        for (const message of messages) {
          const told = message.startsWith('data:') ? JSON.parse(message.slice(5)) : {};
          if (told.msg === 'process_completed') completed(told.event_id);
          if (told.msg === 'close_stream' && awaited.size) {
            reader = lines((await again()).body);
            rest = '';
            break;
          }
          out.enqueue(coder.encode(message + '\n\n'));
          if (told.msg === 'close_stream') return;
        }
      }
    };
    return new ReadableStream({
      start: out => void pass(out).then(() => out.close(), error => out.error(error)),
      cancel: why => reader.cancel(why),
    });
  };
  window.fetch = async (what, how) => {
    const {pathname} = new URL(what.url ?? what, location.href);
    const answer = await ask(what, how);
    if (pathname.endsWith('/queue/join') && answer.ok) joined((await answer.clone().json()).event_id);
    if (!pathname.endsWith('/queue/data') || !answer.body) return answer;
    return new Response(whole(answer.body, () => ask(what, how)), answer);
  };
})();"""
# For the page's head.
HEAD = f"<script>{_HELD_OPEN}</script>"
