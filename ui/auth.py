"""Who may use a page that others can reach: a file of names and hashed passwords.

One user a line: ``NAME:scrypt$N$R$P$SALT$HASH``, salt and hash in base64 (RFC 7914's scrypt, of Python's
``hashlib``). Empty lines and lines that begin with ``#`` say nothing. A line is made by
``python -m storyloom.ui.auth NAME``, which asks for the password and prints the line.
"""

import base64
import binascii
import getpass
import hashlib
import hmac
import re
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from storyloom.memory.errors import InvalidSetting, StoryloomError

# 16 MiB and about 50 ms a check: OWASP's advice for scrypt with these R and P is N = 2**17 on a server
# of its own; this one shares its machine with a model.
_N, _R, _P = 2**14, 8, 1
_NAME = re.compile(r"[^\s:]{1,64}")
_MOST_MEMORY = 256 * 1024 * 1024
_FORM = "NAME:scrypt$N$R$P$SALT$HASH"


@dataclass(frozen=True, slots=True)
class _Secret:
    n: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    def fits(self, password: str) -> bool:
        made = _scrypt(password, self.salt, self.n, self.r, self.p, len(self.digest))
        return hmac.compare_digest(made, self.digest)


class Users:
    """The names that may come in, each with a password."""

    def __init__(self, secrets_by_name: dict[str, _Secret]) -> None:
        self._secrets = secrets_by_name
        # An unknown name costs the same time as a known one.
        self._nobody = _Secret(_N, _R, _P, secrets.token_bytes(16), secrets.token_bytes(32))

    def __len__(self) -> int:
        return len(self._secrets)

    def admits(self, name: str, password: str) -> bool:
        """Whether this is the password of this name."""
        known = self._secrets.get(name)
        return (known or self._nobody).fits(password) and known is not None


def read_users(file: Path) -> Users:
    """Read an auth file.

    Raises:
        InvalidSetting: it can't be read, a line is malformed, a name comes twice, or nobody is in it.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"The auth file {file} can't be read: {error}.") from error
    users: dict[str, _Secret] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, secret = _parse(line.strip(), f"{file}, line {number}")
        if name in users:
            raise InvalidSetting(
                f"{file}, line {number}: the name {name} is there already. Keep one of them."
            )
        users[name] = secret
    if not users:
        raise InvalidSetting(
            f"The auth file {file} names nobody. Add a line with: python -m storyloom.ui.auth NAME >> {file}"
        )
    return Users(users)


def user_line(name: str, password: str) -> str:
    """A line of the auth file.

    Raises:
        InvalidSetting: the name or the password can't be used.
    """
    if not _NAME.fullmatch(name):
        raise InvalidSetting("A name has 1 to 64 characters, with no colon and no white space among them.")
    if not password:
        raise InvalidSetting("The password is empty. Give one.")
    salt = secrets.token_bytes(16)
    digest = _scrypt(password, salt, _N, _R, _P, 32)
    return f"{name}:scrypt${_N}${_R}${_P}${_encoded(salt)}${_encoded(digest)}"


def _parse(line: str, place: str) -> tuple[str, _Secret]:
    name, _, rest = line.partition(":")
    fields = rest.split("$")
    try:
        kind, n, r, p, salt, digest = fields
        secret = _Secret(int(n), int(r), int(p), base64.b64decode(salt), base64.b64decode(digest))
        usable = kind == "scrypt" and _NAME.fullmatch(name) and len(secret.digest) >= 16
        if usable:
            secret.fits("")  # scrypt itself refuses numbers that it can't work with
    except (ValueError, binascii.Error, OverflowError, MemoryError):
        usable = False
    if not usable:
        raise InvalidSetting(
            f"{place} isn't of the form {_FORM}. Make the line with: python -m storyloom.ui.auth NAME"
        )
    return name, secret


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int, length: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, dklen=length, maxmem=_MOST_MEMORY)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def main(arguments: list[str]) -> int:
    """Ask for a password and print a line for the auth file."""
    if len(arguments) != 1:
        sys.stderr.write("Usage: python -m storyloom.ui.auth NAME\n")
        return 2
    try:
        line = user_line(arguments[0], getpass.getpass(f"Password of {arguments[0]}: "))
    except StoryloomError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
