from pathlib import Path

import pytest

from storyloom.memory.errors import InvalidSetting
from storyloom.ui import auth


def write(folder: Path, *lines: str) -> Path:
    file = folder / "users"
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_a_made_line_admits_its_user_and_nobody_else(tmp_path: Path) -> None:
    file = write(tmp_path, "# who may", "", auth.user_line("mara", "päss: wörd"), auth.user_line("tom", "x"))
    users = auth.read_users(file)
    assert len(users) == 2
    assert users.admits("mara", "päss: wörd")
    assert not users.admits("mara", "x")
    assert not users.admits("tom", "päss: wörd")
    assert not users.admits("nobody", "x")
    assert not users.admits("", "")


def test_two_lines_of_one_password_differ() -> None:
    assert auth.user_line("a", "same") != auth.user_line("a", "same")


@pytest.mark.parametrize(
    "line",
    [
        "mara",
        "mara:secret",
        "mara:md5$1$2$3$AAAA$AAAA",
        "mara:scrypt$16384$8$1$AAAA",
        "mara:scrypt$x$8$1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "mara:scrypt$15$8$1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "mara:scrypt$1073741824$8$1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "mara:scrypt$16384$8$1$AAAA$AAAA",
        ":scrypt$16384$8$1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(InvalidSetting, match=r"line 2 isn't of the form"):
        auth.read_users(write(tmp_path, auth.user_line("tom", "x"), line))


def test_a_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="mara is there already"):
        auth.read_users(write(tmp_path, auth.user_line("mara", "x"), auth.user_line("mara", "y")))


def test_an_empty_file_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="names nobody"):
        auth.read_users(write(tmp_path, "# nobody"))
    with pytest.raises(InvalidSetting, match="can't be read"):
        auth.read_users(tmp_path / "missing")


@pytest.mark.parametrize(("name", "password"), [("a b", "x"), ("a:b", "x"), ("", "x"), ("mara", "")])
def test_unusable_names_and_passwords(name: str, password: str) -> None:
    with pytest.raises(InvalidSetting):
        auth.user_line(name, password)


def test_the_command_prints_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "secret")
    assert auth.main(["mara"]) == 0
    assert capsys.readouterr().out.startswith("mara:scrypt$")
    assert auth.main(["m a"]) == 1
    assert auth.main([]) == 2
