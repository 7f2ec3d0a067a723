from storyloom.generators.longcontext.convert import converted
from tests.unit.generators.longcontext.proof import llama


def test_what_a_gguf_file_says_of_its_numbers_is_not_inherited() -> None:
    source = llama()
    source.config.quantization_config = {"quant_method": "gguf", "gguf_file": "x.gguf"}
    made = converted(source, "landmark", {})
    assert "quantization_config" not in made.config.to_dict()
