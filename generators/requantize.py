"""Writes a GGUF file again with its weights in another format, by the gguf package. Knows no engine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

# Name of a tensor -> name of its new format (Q8_0, Q4_0, ...); None keeps it as it is.
FormatOf = Callable[[str], str | None]

# What general.file_type says of a file whose weights are mostly in one format (llama.cpp's llama_ftype).
_FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9}


def requantize(source: Path, target: Path, format_of: FormatOf, *, mostly: str) -> None:
    """Copy a model, its matrices in other formats; vectors stay in float32, the metadata as they are.

    Args:
        source: a GGUF file.
        target: the file to write; its folder exists.
        format_of: the format for each matrix, by name.
        mostly: the format that the file is to call itself.

    Raises:
        OSError: the source can't be read or the target can't be written.
    """
    import gguf
    import numpy as np

    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.get_field("general.architecture").contents())
    _copy_metadata(gguf, reader, writer, _FILE_TYPES[mostly])
    for tensor in reader.tensors:
        name = format_of(tensor.name)
        if name is None or tensor.tensor_type == gguf.GGMLQuantizationType.F32:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
            continue
        kind = gguf.GGMLQuantizationType[name]
        weights = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        writer.add_tensor(tensor.name, gguf.quantize(weights, kind), raw_dtype=kind)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _copy_metadata(gguf: Any, reader: Any, writer: Any, file_type: int) -> None:
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue  # the writer writes these itself
        if field.name == "general.file_type":
            writer.add_file_type(file_type)
            continue
        kind = field.types[0]
        item_kind = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=item_kind)
