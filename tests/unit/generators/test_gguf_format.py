import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from storyloom.generators.gguf_format import read_head
from storyloom.memory.errors import ModelUnavailable


def write(path: Path, **options: Any) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(options.get("context", 2048))
    writer.add_token_list(["a", "<s>", "<|turn|>", "", "b>"])
    writer.add_token_types([1, 3, 4, 3, 4])
    writer.add_bool("general.flag", True)
    writer.add_float32("general.scale", 0.5)
    writer.add_array("general.languages", ["en", "fr"])
    writer.add_tensor("one", np.zeros((3, 32), np.float32))
    writer.add_tensor("two", np.zeros((64,), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_it_reads_metadata_and_shapes(tmp_path: Path) -> None:
    head = read_head(write(tmp_path / "model.gguf"))
    assert head.parameters == 3 * 32 + 64
    assert head.training_context == 2048
    assert head.metadata["general.flag"] is True
    assert head.metadata["general.scale"] == 0.5
    assert head.metadata["general.languages"] == ["en", "fr"]
    assert head.control_tokens() == {"<s>": 1, "<|turn|>": 2}


def test_a_file_that_ends_early_is_not_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "model.gguf")
    whole = path.read_bytes()
    for length in (2, 10, 60, read_head(path).tensor_data_at):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelUnavailable, match=r"model\.gguf is no whole GGUF file"):
            read_head(path)


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        (b"PK\x03\x04 something else", "begin with GGUF"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version is 1"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 60), "absurd"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 99), "99"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 8, 1 << 60), "absurd"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 4, 1 << 62), "GGUF"),
    ],
)
def test_damage_is_told_and_never_read_into_memory(tmp_path: Path, head: bytes, problem: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(head)
    with pytest.raises(ModelUnavailable, match=problem):
        read_head(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"none\.gguf can't be read: No such file"):
        read_head(tmp_path / "none.gguf")


def test_what_a_token_takes_is_told_by_the_shape_of_the_layers(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_block_count(30)
    writer.add_embedding_length(576)
    writer.add_head_count(9)
    writer.add_head_count_kv(3)
    writer.add_tensor("one", np.zeros((3, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert read_head(tmp_path / "model.gguf").cell_bytes == 30 * 2 * 3 * 64 * 2
    assert read_head(write(tmp_path / "bare.gguf")).cell_bytes == 0
