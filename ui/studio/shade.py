"""Light, dark, or as the system is: chosen in the browser, kept there, and so before anything is drawn."""

# Gradio marks its dark theme by a class of the body, as the system is; a person's own choice goes before.
_KEEPING = """(() => {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const kept = () => { try { return localStorage.getItem('shade') || 'system'; } catch { return 'system'; } };
  const dark = () => kept() === 'system' ? system.matches : kept() === 'dark';
  const show = () => document.body.classList.toggle('dark', dark());
  window.storyloomShade = {
    kept,
    choose: shade => { try { localStorage.setItem('shade', shade); } catch {} show(); },
  };
  new MutationObserver((_, observer) => {
    if (!document.body) return;
    observer.disconnect();
    show();
    new MutationObserver(show).observe(document.body, {attributes: true, attributeFilter: ['class']});
  }).observe(document.documentElement, {childList: true});
})();"""
# The same two colours as styles/page.css has, for the moment before it is there.
_FIRST = "body { background: #fcfbf8 !important; } body.dark { background: #191816 !important; }"
# For the page's head.
HEAD = f"<style>{_FIRST}</style><script>{_KEEPING}</script>"
# What the choice on the page does.
CHOOSING = """const mark = () => {
  const chosen = element.querySelector(`[value=${window.storyloomShade?.kept() || 'system'}]`);
  if (chosen) chosen.checked = true;
};
mark();
element.addEventListener('change', event => window.storyloomShade?.choose(event.target.value));"""
