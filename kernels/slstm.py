"""Recurrent cells that can't be run in parallel over time: sLSTM and GRU with block-diagonal heads."""

import torch
from torch import Tensor

from storyloom.kernels.backend import Backend, choose_backend
from storyloom.kernels.checks import check_alike, check_axes, check_device, check_dtype, check_shape
from storyloom.kernels.slstm_reference import gru_reference, slstm_reference

SlstmState = tuple[Tensor, Tensor, Tensor, Tensor]
_WIDEST_HEAD = 64
_AXES = ("batch", "heads", "width")


def slstm(
    gates: Tensor, recurrent: Tensor, *, state: SlstmState | None = None, backend: Backend = "auto"
) -> tuple[Tensor, SlstmState]:
    """Run xLSTM's sLSTM over a sequence, step by step, with gradients.

    The exponential input gate with its stabiliser (arXiv 2405.04517, equations 8 to 10 and 15 to 17), the
    forget gate a sigmoid, in FlashRNN's form (arXiv 2412.07752): each head's gates are
    g_k = x_k + R_k h_{t−1} for k in i, f, z, o; then m_t = max(log σ(g_f) + m_{t−1}, g_i),
    i' = e^{g_i − m_t}, f' = e^{log σ(g_f) + m_{t−1} − m_t}, c_t = f' c_{t−1} + i' tanh(g_z),
    n_t = f' n_{t−1} + i' and h_t = σ(g_o) c_t / n_t.

    Args:
        gates: x, what the input gives to the gates, bias included, [batch, length, heads, 4, width] in
            the order i, f, z, o; float16, bfloat16, float32 or float64; width at most 64.
        recurrent: R, [heads, 4, width (of the gate), width (of h)]; the same dtype and device.
        state: (h, c, n, m) that an earlier call returned, each [batch, heads, width] in float32 (float64 for
            float64 inputs). Where n is 0 it is the empty state, so that zeros mean a fresh start.
        backend: "auto" takes Triton on a CUDA device, and the reference elsewhere or for float64.

    Returns:
        h of every step, [batch, length, heads, width] in the dtype of ``gates``, and the state after the
        last. Gradients flow through h, c and n; m is only the scale of c and n, cancels, and carries none.

    Raises:
        ValueError: a shape, dtype or device doesn't fit, an axis but the batch is empty, heads are wider than
            64, or no such backend.
        RuntimeError: ``backend="triton"`` can't run here, or was asked to run in float64.

    From the empty state |h| is at most 1, whatever the gates. Gates from −1e29 to 1e29 give finite outputs; c
    and n grow at most with the length, and n is never under the smaller of 1 and the n that was given.
    """
    name = "slstm"
    kept = _check(name, gates, recurrent, 4)
    batch, _, heads, _, width = gates.shape
    if state is None:
        state = (
            gates.new_zeros((batch, heads, width), dtype=kept),
            gates.new_zeros((batch, heads, width), dtype=kept),
            gates.new_zeros((batch, heads, width), dtype=kept),
            gates.new_zeros((batch, heads, width), dtype=kept),
        )
    if len(state) != 4:
        raise ValueError(f"{name}: state has {len(state)} tensors; it must be the 4 tensors (h, c, n, m).")
    for part, tensor in zip(("h", "c", "n", "m"), state, strict=True):
        _check_state(name, f"state {part}", tensor, gates, kept)
    if choose_backend(name, backend, gates) == "reference":
        return slstm_reference(gates, recurrent, state)
    from storyloom.kernels.slstm_triton import slstm_triton

    return slstm_triton(gates, recurrent, state)


def gru(
    gates: Tensor, recurrent: Tensor, *, state: Tensor | None = None, backend: Backend = "auto"
) -> tuple[Tensor, Tensor]:
    """Run a gated recurrent unit over a sequence, step by step, with gradients.

    The variant of ``torch.nn.GRU``, whose reset gate acts after the matrix: r = σ(x_r + R_r h_{t−1}),
    z = σ(x_z + R_z h_{t−1}), n = tanh(x_n + r ⊙ (R_n h_{t−1})) and h_t = (1 − z) ⊙ n + z ⊙ h_{t−1}. There is
    no bias inside r ⊙ (…): torch's ``bias_hn`` is taken as 0, and every other bias belongs into x.

    Args:
        gates: x, what the input gives to the gates, bias included, [batch, length, heads, 3, width] in the
            order r, z, n; float16, bfloat16, float32 or float64; width at most 64.
        recurrent: R, [heads, 3, width (of the gate), width (of h)]; the same dtype and device.
        state: h before the first step, [batch, heads, width] in float32 (float64 for float64 inputs); zeros
            without it.
        backend: "auto" takes Triton on a CUDA device, and the reference elsewhere or for float64.

    Returns:
        h of every step, [batch, length, heads, width] in the dtype of ``gates``, and h after the last in the
        state's.

    Raises:
        ValueError: a shape, dtype or device doesn't fit, an axis but the batch is empty, heads are wider than
            64, or no such backend.
        RuntimeError: ``backend="triton"`` can't run here, or was asked to run in float64.

    Any finite input gives finite outputs: |h| is at most the larger of 1 and what it started from.
    """
    name = "gru"
    kept = _check(name, gates, recurrent, 3)
    if state is None:
        state = gates.new_zeros((gates.shape[0], gates.shape[2], gates.shape[4]), dtype=kept)
    _check_state(name, "state", state, gates, kept)
    if choose_backend(name, backend, gates) == "reference":
        return gru_reference(gates, recurrent, state)
    from storyloom.kernels.gru_triton import gru_triton

    return gru_triton(gates, recurrent, state)


def _check(name: str, gates: Tensor, recurrent: Tensor, count: int) -> torch.dtype:
    """Hold the inputs to their shapes; gives the dtype of the state."""
    batch, length, heads, _, width = check_axes(name, "gates", gates, "batch length heads gates width")
    wanted = ("batch", "length", "heads", count, "width")
    check_shape(name, "gates", gates, wanted, batch=batch, length=length, heads=heads, width=width)
    if width > _WIDEST_HEAD:
        raise ValueError(
            f"{name}: gates has shape {list(gates.shape)}; its width must be at most {_WIDEST_HEAD}."
        )
    check_alike(name, "gates", gates, recurrent=recurrent)
    check_shape(name, "recurrent", recurrent, ("heads", count, "width", "width"), heads=heads, width=width)
    return torch.float64 if gates.dtype == torch.float64 else torch.float32


def _check_state(name: str, part: str, tensor: Tensor, gates: Tensor, kept: torch.dtype) -> None:
    batch, _, heads, _, width = gates.shape
    check_device(name, part, tensor, gates.device, "gates")
    check_dtype(name, part, tensor, kept)
    check_shape(name, part, tensor, _AXES, batch=batch, heads=heads, width=width)
