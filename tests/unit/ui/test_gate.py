from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from storyloom.ui.auth import Users, read_users, user_line
from storyloom.ui.gate import LOOPBACK, Gate


def who(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"user={request.state.user}")


def client(users: Users | None, hosts: frozenset[str] | None) -> httpx.AsyncClient:
    gate = Gate(Starlette(routes=[Route("/", who, methods=["GET", "POST"])]), hosts=hosts, users=users)
    return httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://localhost:7860")


@pytest.fixture
def users(tmp_path: Path) -> Users:
    file = tmp_path / "users"
    file.write_text(f"{user_line('mara', 'secret')}\n{user_line('tom', 'other')}\n")
    return read_users(file)


@pytest.mark.asyncio
async def test_loopback_needs_no_password_and_answers_safely() -> None:
    async with client(None, LOOPBACK) as page:
        answer = await page.get("/")
    assert answer.text == "user=None"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.asyncio
@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "localhost.evil.example", ""])
async def test_another_name_of_this_machine_is_refused(host: str) -> None:
    async with client(None, LOOPBACK) as page:
        assert (await page.get("/", headers={"host": host})).status_code == 403


@pytest.mark.asyncio
@pytest.mark.parametrize("host", ["127.0.0.1:7860", "[::1]:7860", "localhost"])
async def test_this_machines_own_names_are_known(host: str) -> None:
    async with client(None, LOOPBACK) as page:
        assert (await page.get("/", headers={"host": host})).status_code == 200


@pytest.mark.asyncio
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:9999"])
async def test_another_sites_page_is_refused(origin: str) -> None:
    async with client(None, LOOPBACK) as page:
        assert (await page.post("/", headers={"origin": origin})).status_code == 403


@pytest.mark.asyncio
async def test_the_page_itself_may_post() -> None:
    async with client(None, LOOPBACK) as page:
        assert (await page.post("/", headers={"origin": "http://localhost:7860"})).status_code == 200


@pytest.mark.asyncio
async def test_every_visitor_is_asked_who_they_are(users: Users) -> None:
    async with client(users, None) as page:
        asked = await page.get("/")
        assert asked.status_code == 401
        assert asked.headers["www-authenticate"].startswith("Basic")
        for _ in range(2):
            assert (await page.get("/", auth=("mara", "secret"))).text == "user=mara"
        assert (await page.get("/", auth=("tom", "other"))).text == "user=tom"
        assert (await page.get("/", auth=("mara", "other"))).status_code == 401


@pytest.mark.asyncio
@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic gICA", "Bearer abc", "Basic bWFyYQ=="])
async def test_malformed_credentials_are_refused(users: Users, header: str) -> None:
    async with client(users, None) as page:
        assert (await page.get("/", headers={"authorization": header})).status_code == 401
