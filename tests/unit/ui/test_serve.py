from pathlib import Path

import pytest

from storyloom.app.settings import load_settings
from storyloom.memory.errors import InvalidSetting
from storyloom.ui import serve


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("192.168.1.4", False)],
)
def test_what_is_loopback(host: str, expected: bool) -> None:
    assert serve.is_loopback(host) is expected


def test_an_open_address_without_users_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="--auth-file"):
        serve.serve(load_settings(), host="0.0.0.0", port=None)


def test_an_auth_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="can't be read"):
        serve.serve(load_settings(), host="0.0.0.0", port=None, auth_file=tmp_path / "missing")


def test_a_port_in_use_is_told() -> None:
    with serve.listening("127.0.0.1", None) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(InvalidSetting, match=f"port {port}.*--port"),
            serve.listening("127.0.0.1", port),
        ):
            pass
