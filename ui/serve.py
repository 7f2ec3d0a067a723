"""Serves the page: on this machine alone, unless every visitor is asked for a password."""

import gc
import os
import re
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote

# Before Gradio is imported: nothing is reported to anybody.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response

from storyloom.app.settings import Settings
from storyloom.app.studio import Studio
from storyloom.app.wiring import open_studio
from storyloom.memory.errors import InvalidSetting, StoryloomError
from storyloom.ui.auth import Users, read_users
from storyloom.ui.gate import LOOPBACK, Gate
from storyloom.ui.story_files import MEDIA, story_file
from storyloom.ui.studio import rest, shade, stream
from storyloom.ui.studio.head import Headed
from storyloom.ui.studio.page import page
from storyloom.ui.studio.place import House
from storyloom.ui.studio.sheets import style_sheet
from storyloom.ui.studio.spoken import Spoken, head
from storyloom.ui.studio.theme import theme
from storyloom.ui.studio.writers import Writers

DEFAULT_PORT = 7860
_GRACE_SECONDS = 1
_LORE_MEDIA = {"json": "application/json", "lorebook": "application/json", "png": "image/png"}
# The largest story, manuscript or lorebook that the page takes; the command line takes larger ones.
_MOST_UPLOADED = "64mb"


def serve(
    settings: Settings,
    host: str = "127.0.0.1",
    port: int | None = DEFAULT_PORT,
    auth_file: Path | None = None,
    *,
    say: Callable[[str], object] | None = None,
) -> None:
    """Serve the page until Ctrl-C.

    Args:
        settings: what was set.
        host: the address to listen on.
        port: the port, or None for a free one.
        auth_file: who may come in; asked for on any address but loopback.
        say: tells the person where the page is; by default on the terminal.

    Raises:
        InvalidSetting: the address can't be listened on, or would be open to everybody.
        StoreUnavailable: the database can't be opened.
    """
    users = read_users(auth_file) if auth_file is not None else None
    if users is None and not is_loopback(host):
        raise InvalidSetting(
            f"{host} can be reached from other machines, and anybody there could read and write your "
            "stories. Name who may with --auth-file FILE, or leave --host out to serve this machine alone."
        )
    with listening(host, port) as listener, open_studio(settings) as studio:
        writers = Writers()
        app = application(
            studio, writers, hosts=LOOPBACK | {host} if is_loopback(host) else None, users=users
        )
        config = uvicorn.Config(
            app, log_level="warning", lifespan="on", timeout_graceful_shutdown=_GRACE_SECONDS
        )
        shown_host = f"[{host}]" if ":" in host else host
        (say or _say)(f"Storyloom is at http://{shown_host}:{listener.getsockname()[1]}/ — Ctrl-C ends it.")
        threading.Thread(target=_freeze, args=(studio.warm_up(),), name="freezing", daemon=True).start()
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt:  # uvicorn has ended well, and passes the signal on
            pass
        finally:
            writers.close()


def _freeze(warming: threading.Thread) -> None:
    """Keep what is loaded for good from the garbage collector, which answers no page while it walks there."""
    warming.join()
    gc.collect()
    gc.freeze()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def application(
    studio: Studio, writers: Writers, *, hosts: frozenset[str] | None = LOOPBACK, users: Users | None = None
) -> Gate:
    """The ASGI application: the page, and the stories as files to download."""

    def studio_of(user: str | None) -> Studio:
        return studio if user is None else studio.of_owner(user)

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/export/{story}.{suffix}")
    def export(request: Request, story: str, suffix: str, strand: str | None = None) -> Response:
        if suffix not in MEDIA:
            raise HTTPException(404, f"Stories come as {', '.join(MEDIA)}.")
        try:
            return exported(studio_of(request.state.user), story, suffix, strand)
        except StoryloomError as error:
            raise HTTPException(404, str(error)) from error

    @app.get("/lore/{story}.{suffix}")
    def lore(request: Request, story: str, suffix: str) -> Response:
        if suffix not in _LORE_MEDIA:
            raise HTTPException(404, f"Lore comes as {', '.join(_LORE_MEDIA)}.")
        try:
            return exported_lore(studio_of(request.state.user), story, suffix)
        except StoryloomError as error:
            raise HTTPException(404, str(error)) from error

    def user_of(request: Request) -> str:
        return str(request.state.user)

    blocks = page(lambda user: House(studio_of(user), writers, has_users=user is not None))
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        max_file_size=_MOST_UPLOADED,
        theme=theme(),
        # Gradio narrows a style sheet given as css to its own container, media queries included.
        head=f"<style>{style_sheet()}</style>",
        auth_dependency=user_of if users is not None else None,
    )
    rest.let_rest(blocks)
    return Gate(
        Spoken(Headed(app, lambda: head() + shade.HEAD + rest.HEAD + stream.HEAD)), hosts=hosts, users=users
    )


def exported(studio: Studio, story: str, suffix: str, strand: str | None) -> Response:
    """A story as a file to download, named after its title."""
    title = studio.show(story, strand, last=1).story.title
    return _download(story_file(studio, story, suffix, strand), title, suffix, MEDIA[suffix])


def exported_lore(studio: Studio, story: str, suffix: str) -> Response:
    """A story's lore as another program's file to download, named after the story's title."""
    title = studio.show(story, last=1).story.title
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"lore.{suffix}"
        studio.lore.write_out(story, file)
        content = file.read_bytes()
    return _download(content, title, suffix, _LORE_MEDIA[suffix])


def _download(content: bytes, title: str, suffix: str, media_type: str) -> Response:
    name = quote(re.sub(r"[^\w\- ]+", "", title).strip()[:80] or "story")
    return Response(
        content,
        media_type=media_type,
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}.{suffix}"},
    )


@contextmanager
def listening(host: str, port: int | None) -> Iterator[socket.socket]:
    """A socket that listens already, so that the address told is one that answers.

    Raises:
        InvalidSetting: the port is taken or the address isn't this machine's.
    """
    family: Any = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port or 0), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        raise InvalidSetting(
            f"The page can't be served at {host}, port {port or 'any'}: {error}. "
            "Another program may be there: give another port with --port, or end that one."
        ) from error
    with listener:
        yield listener


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
