"""Gradio's theme in the page's own colours, which ``styles/page.css`` sets for light and dark."""

import gradio as gr
from gradio.themes.utils import fonts

# The machine's own fonts: none is ever fetched.
_SANS = [fonts.Font("system-ui"), fonts.Font("sans-serif")]
_MONO = [fonts.Font("ui-monospace"), fonts.Font("monospace")]

# What the page is before its style sheet is there; styles/page.css has the same two as --paper and --ink.
_FIRST_COLOURS = {
    "body_background_fill": "#fcfbf8",
    "body_background_fill_dark": "#191816",
    "body_text_color": "#2a2723",
    "body_text_color_dark": "#d8d2c6",
}
_NO_SHADOWS = {"input_shadow": "none", "input_shadow_focus": "none", "block_shadow": "none"}
_COLOURS = {
    "body_text_color_subdued": "var(--faded)",
    "background_fill_primary": "var(--paper)",
    "background_fill_secondary": "var(--leaf)",
    "block_background_fill": "transparent",
    "block_border_color": "transparent",
    "block_label_background_fill": "transparent",
    "block_label_text_color": "var(--faded)",
    "block_title_text_color": "var(--faded)",
    "border_color_primary": "var(--line)",
    "border_color_accent": "var(--accent)",
    "color_accent_soft": "var(--leaf)",
    "link_text_color": "var(--accent)",
    "link_text_color_hover": "var(--ink)",
    "link_text_color_visited": "var(--accent)",
    "input_background_fill": "var(--leaf)",
    "input_background_fill_focus": "var(--leaf)",
    "input_border_color": "var(--line)",
    "input_border_color_focus": "var(--accent)",
    "input_placeholder_color": "var(--faded)",
    "button_primary_background_fill": "var(--accent)",
    "button_primary_background_fill_hover": "var(--accent-strong)",
    "button_primary_text_color": "var(--paper)",
    "button_primary_border_color": "var(--accent)",
    "button_secondary_background_fill": "transparent",
    "button_secondary_background_fill_hover": "var(--leaf)",
    "button_secondary_text_color": "var(--ink)",
    "button_secondary_border_color": "var(--line)",
    "checkbox_label_background_fill": "transparent",
    "checkbox_label_background_fill_hover": "var(--leaf)",
    "checkbox_label_background_fill_selected": "var(--leaf)",
    "checkbox_label_border_color": "var(--line)",
    "checkbox_label_border_color_selected": "var(--accent)",
    "checkbox_label_text_color": "var(--ink)",
    "checkbox_label_text_color_selected": "var(--ink)",
    "checkbox_background_color": "var(--paper)",
    "checkbox_background_color_selected": "var(--accent)",
    "checkbox_border_color": "var(--faded)",
    "checkbox_border_color_selected": "var(--accent)",
    "panel_background_fill": "transparent",
    "slider_color": "var(--accent)",
}


def theme() -> gr.themes.Base:
    """The theme; every colour is a variable, so that light and dark are told in one place."""
    dark = {f"{name}_dark": value for name, value in _COLOURS.items()}
    base = gr.themes.Base(font=_SANS, font_mono=_MONO)
    return base.set(**_FIRST_COLOURS, **_COLOURS, **dark, **_NO_SHADOWS)
