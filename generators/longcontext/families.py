"""The families by name, and their registration with transformers' Auto classes."""

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from storyloom.generators import hf_rope
from storyloom.generators.longcontext.atlas import AtlasForCausalLM
from storyloom.generators.longcontext.hope import HopeForCausalLM
from storyloom.generators.longcontext.hybrid import HybridForCausalLM
from storyloom.generators.longcontext.lact import LactForCausalLM
from storyloom.generators.longcontext.landmark import LandmarkForCausalLM
from storyloom.generators.longcontext.modeling import LongContextForCausalLM
from storyloom.generators.longcontext.titans import TitansForCausalLM

FAMILIES: dict[str, type[LongContextForCausalLM]] = {
    "titans": TitansForCausalLM,
    "atlas": AtlasForCausalLM,
    "lact": LactForCausalLM,
    "hope": HopeForCausalLM,
    "landmark": LandmarkForCausalLM,
    "hybrid": HybridForCausalLM,
}


def register() -> None:
    """Let transformers load every family by its ``config.json``; doing it again changes nothing."""
    hf_rope.register()
    for family in FAMILIES.values():
        config = family.config_class
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModel.register(config, family.model_class, exist_ok=True)
        AutoModelForCausalLM.register(config, family, exist_ok=True)
