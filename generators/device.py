"""What torch computes on."""

from storyloom.memory.errors import ModelUnavailable


def gpu_name() -> str | None:
    """The first GPU's name, or None where models run on the processor.

    Raises:
        ModelUnavailable: torch can't be loaded.
    """
    try:
        import torch
    except (ImportError, OSError) as error:
        raise ModelUnavailable(f"torch can't be loaded: {error}. Install it again.") from error
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
