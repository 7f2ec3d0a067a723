"""The house: rooms map to the namespace, the wheel holds the whole tree, nothing shadows a library."""

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("app", "generators", "kernels", "memory", "storage", "ui")
# Every kind of file that a room ships.
SHIPPED = {".py", ".j2", ".css", ".js", ".md", ".po"}


def test_kernels_never_shadows_the_library_of_that_name() -> None:
    """transformers looks up a package named ``kernels``; from the root it must not find ours."""
    probe = "import importlib.util as u; s = u.find_spec('kernels'); print(s is None or s.origin is None)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "True"


def test_kernels_has_no_init() -> None:
    assert not (ROOT / "kernels" / "__init__.py").exists()


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_importable_under_the_namespace(room: str) -> None:
    assert importlib.util.find_spec(f"storyloom.{room}") is not None


def test_the_wheel_holds_exactly_the_tree(tmp_path: Path) -> None:
    """An editable install works even when a sub-folder is missing from ``packages``; a wheel doesn't."""
    tracked = subprocess.run(
        ["git", "ls-files", *ROOMS], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    expected = {f"storyloom/{name}" for name in tracked if Path(name).suffix in SHIPPED}
    source = tmp_path / "source"
    for name in [*tracked, "pyproject.toml", "README.md", "LICENSE"]:
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path / "dist"), str(source)],
        check=True,
        capture_output=True,
    )
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == expected
