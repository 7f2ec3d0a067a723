from fastapi import FastAPI
from fastapi.responses import HTMLResponse, PlainTextResponse
from fastapi.testclient import TestClient

from storyloom.ui.studio.head import Headed
from storyloom.ui.studio.shade import HEAD

PAGE = "<!doctype html><html><head><title>x</title></head><body></body></html>"


def client() -> TestClient:
    app = FastAPI()

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse(PAGE)

    @app.get("/other")
    def other() -> PlainTextResponse:
        return PlainTextResponse("<head>")

    return TestClient(Headed(app, lambda: HEAD))


def test_the_choice_stands_first_in_the_pages_head() -> None:
    answer = client().get("/")
    assert answer.text.index("localStorage") < answer.text.index("<title>")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.text.endswith("<title>x</title></head><body></body></html>")


def test_nothing_else_is_changed() -> None:
    assert client().get("/other").text == "<head>"
    assert client().get("/missing").status_code == 404
