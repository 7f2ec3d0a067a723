from pathlib import Path

import gguf
import numpy as np

from storyloom.generators.requantize import requantize


def test_matrices_change_their_format_and_all_else_stays(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    matrix = random.normal(size=(4, 64)).astype(np.float32)
    vector = random.normal(size=(64,)).astype(np.float32)
    writer = gguf.GGUFWriter(tmp_path / "source.gguf", "llama")
    writer.add_name("A name")
    writer.add_file_type(3)
    writer.add_token_list(["a", "b"])
    for name in ("first", "second"):
        quantized = gguf.quantize(matrix, gguf.GGMLQuantizationType.Q4_1)
        writer.add_tensor(name, quantized, raw_dtype=gguf.GGMLQuantizationType.Q4_1)
    writer.add_tensor("norm", vector)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    target = tmp_path / "target.gguf"
    requantize(
        tmp_path / "source.gguf", target, lambda name: None if name == "second" else "Q8_0", mostly="Q8_0"
    )

    before, after = gguf.GGUFReader(tmp_path / "source.gguf"), gguf.GGUFReader(target)
    assert [tensor.name for tensor in after.tensors] == ["first", "second", "norm"]
    assert [tensor.tensor_type.name for tensor in after.tensors] == ["Q8_0", "Q4_1", "F32"]
    first, second, norm = after.tensors
    assert list(first.shape) == list(before.tensors[0].shape)
    values = gguf.dequantize(first.data, first.tensor_type)
    source = gguf.dequantize(before.tensors[0].data, before.tensors[0].tensor_type)
    np.testing.assert_allclose(values, source, atol=np.abs(source).max() / 127)
    np.testing.assert_array_equal(second.data, before.tensors[1].data)
    np.testing.assert_array_equal(norm.data, vector)
    fields = {name: after.get_field(name).contents() for name in ("general.name", "tokenizer.ggml.tokens")}
    assert fields == {"general.name": "A name", "tokenizer.ggml.tokens": ["a", "b"]}
    assert after.get_field("general.file_type").contents() == 7
