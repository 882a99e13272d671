"""CLIP's two towers on the weights of transformers, without the work that cannot change a vector.

Both compute what ``CLIPModel.get_image_features`` and ``get_text_features`` do, up to rounding, and leave out

- text tokens after EOT: attention is causal and the vector is read at EOT. The texts of a batch are packed
  into one long row, so that the padding of the shorter ones costs nothing outside attention;
- in the last layer everything but the one token that is read: the others feed nothing from there on;
- second and third casts of one activation under autocast, and half the passes of the activation function,
  whose output is not kept.

Weights, names and configuration stay those of transformers; so does the folder that is saved. A tower that
somebody changed (hooks, sharded weights, checkpointing of activations, adapters but LoRA) is called as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPModel
from transformers.activations import QuickGELUActivation

from urbanln.model.untouched import what_was_put_there

_Attend = Callable[[Any, Tensor, Tensor, Tensor], Tensor]
# Texts of similar length share an attention, which is quadratic in the longest of them.
_GROUPS = 4
# Sizes that differ from batch to batch are rounded up, lengths in attention to this and the packed row by a
# 32nd at most: for each size it meets anew a library of matrix products builds code, and keeps it.
_ROUNDED_LENGTH, _ROUNDED_ROWS = 16, 32
_QUICK = 1.702


def image_features(clip: CLIPModel, pixels: Tensor, keep: Tensor | None = None) -> Tensor:
    """Projected vectors of normalised pictures.

    Args:
        clip: Whose vision tower runs.
        pixels: float, (B, 3, S, S).
        keep: int64, (B, P), the patches that are read; None for all. See :func:`draw_patches`.

    Returns:
        (B, D), not normalised; in the type of the weights, also under autocast.
    """
    tower = clip.vision_model
    changed = what_was_put_there(tower)
    if changed and keep is None:
        return _project(None, clip.visual_projection, tower(pixel_values=pixels).pooler_output)
    x = tower.embeddings(pixels)  # (B, 1 + N, W): the class token, then the patches
    if keep is not None:
        patches = x[:, 1:].gather(1, keep[..., None].expand(-1, -1, x.shape[-1]))
        x = torch.cat([x[:, :1], patches], dim=1)
    x = tower.pre_layrnorm(x)
    if changed:
        x = tower.encoder(inputs_embeds=x).last_hidden_state[:, 0]
        return _project(tower.post_layernorm, clip.visual_projection, x)
    count, length, width = x.shape

    def attend(layer: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        shape = (count, -1, layer.num_heads, layer.head_dim)
        q, k, v = (part.view(shape).transpose(1, 2) for part in (q, k, v))
        return _attention(layer, q, k, v).transpose(1, 2).reshape(-1, width)

    first = torch.arange(count, device=x.device) * length
    x = _run(tower.encoder.layers, x.view(-1, width), attend, attend, first)
    return _project(tower.post_layernorm, clip.visual_projection, x)


def text_features(clip: CLIPModel, ids: Tensor, lengths: Sequence[int]) -> Tensor:
    """Projected vectors of tokenised texts, each read at its last token.

    Args:
        clip: Whose text tower runs.
        ids: int64, (B, T), on the CPU or on the model's device.
        lengths: (B,) tokens of each text up to EOT and with it.

    Returns:
        (B, D), not normalised; in the type of the weights, also under autocast.
    """
    tower = clip.text_model
    device = tower.final_layer_norm.weight.device
    if what_was_put_there(tower):
        x = tower(input_ids=ids[:, : max(lengths)].to(device)).last_hidden_state
        last = torch.tensor(lengths, device=x.device) - 1
        return _project(None, clip.text_projection, x[torch.arange(len(x), device=x.device), last])
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    pack = _pack([lengths[i] for i in order], device)
    tokens = [ids[i, : lengths[i]] for i in order]
    nothing = ids.new_zeros(len(pack.positions) - pack.tokens)
    packed = torch.cat([*tokens, nothing]).to(device, non_blocking=True)
    x = tower.embeddings.token_embedding(packed) + tower.embeddings.position_embedding(pack.positions)

    def attend(layer: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        heads = (_side_by_side(part, pack, layer) for part in (q, k, v))
        groups = zip(*heads, pack.ahead, strict=True)
        found = [_attention(layer, *group).transpose(1, 2).flatten(2) for group in groups]
        return _Unpad.apply(torch.cat([out.flatten(0, 1) for out in found]), pack.back, pack.tokens)

    def attend_last(layer: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        queries = q.view(-1, layer.num_heads, 1, layer.head_dim).split([count for count, _ in pack.shapes])
        keys, values = (_side_by_side(part, pack, layer) for part in (k, v))
        groups = zip(queries, keys, values, pack.behind, strict=True)
        return torch.cat([_attention(layer, *group) for group in groups]).flatten(1)

    x = _run(tower.encoder.layers, x, attend, attend_last, pack.last)  # (B, W) in the packed order
    back = torch.tensor(order).argsort().to(device, non_blocking=True)
    return _project(tower.final_layer_norm, clip.text_projection, x)[back]


def draw_patches(count: int, patches: int, dropped: float) -> Tensor:
    """Which patches of each picture are read when a share of them is dropped.

    Args:
        count: Pictures B.
        patches: Patches N of a picture.
        dropped: Share left out, 0..1; at least one patch stays.

    Returns:
        int64, (B, P), distinct in each row; drawn from the global generator of the CPU.

    Source:
        FLIP (arXiv 2212.00794).
    """
    kept = max(1, round(patches * (1 - dropped)))
    return torch.rand(count, patches).argsort(dim=1)[:, :kept]


def _project(norm: Any, projection: Any, x: Tensor) -> Tensor:
    """The few tokens that are read, in full precision: it costs nothing, and the vectors keep it."""
    with torch.autocast(x.device.type, enabled=False):
        x = x.to(projection.weight.dtype)
        return projection(x if norm is None else norm(x))


def _run(layers: Any, x: Tensor, attend: _Attend, attend_last: _Attend, rows: Tensor) -> Tensor:
    """The encoder's layers over packed tokens (R, W); of the last one the given rows alone, (B, W)."""
    for layer in layers[:-1]:
        x = _layer(layer, x, attend)
    return _layer(layers[-1], x, attend_last, rows)


def _layer(layer: Any, x: Tensor, attend: _Attend, rows: Tensor | None = None) -> Tensor:
    """One pre-norm layer, as transformers' ``CLIPEncoderLayer``; with ``rows`` for these tokens alone."""
    projections = layer.self_attn
    h = _narrow(layer.layer_norm1(x))
    k, v = projections.k_proj(h), projections.v_proj(h)
    if rows is not None:
        h, x = h[rows], x[rows]
    x = x + projections.out_proj(attend(projections, projections.q_proj(h), k, v))
    return x + _feed_forward(layer.mlp, _narrow(layer.layer_norm2(x)))


def _feed_forward(mlp: Any, x: Tensor) -> Tensor:
    inner = mlp.fc1(x)
    if not isinstance(mlp.activation_fn, QuickGELUActivation) or type(mlp.fc2) is not nn.Linear:
        return mlp.fc2(mlp.activation_fn(inner))
    if torch.is_grad_enabled():
        return _QuickGELULinear.apply(inner, mlp.fc2.weight, mlp.fc2.bias)
    return mlp.fc2(functional.silu(inner.mul_(_QUICK), inplace=True).mul_(1 / _QUICK))


class _QuickGELULinear(torch.autograd.Function):
    """fc2(x σ(1.702 x)), with the activation as silu(1.702 x) / 1.702: half the passes over memory.

    Only its input is kept for the way back, which activates again: that costs less than memory for another
    tensor four times as wide as the layer. It writes over its input, the output of a linear layer, which
    nothing else reads; backwards neither.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        scaled, weight = x.mul_(_QUICK), weight.to(x.dtype)
        ctx.save_for_backward(scaled, weight)
        active = functional.silu(scaled).mul_(1 / _QUICK)
        return functional.linear(active, weight, bias.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scaled, weight = ctx.saved_tensors
        active = functional.silu(scaled).mul_(1 / _QUICK)
        of_weight, of_bias = gradient.t() @ active, gradient.sum(0)
        of_active = torch.mm(gradient, weight, out=active)
        of_input = torch.ops.aten.silu_backward.grad_input(of_active, scaled, grad_input=of_active)
        return of_input, of_weight, of_bias


def _narrow(x: Tensor) -> Tensor:
    """Into autocast's type, once for the layers that would each do it."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


@dataclass(frozen=True)
class _Pack:
    """How texts lie behind one another in a packed row of R tokens, and side by side for attention.

    Side by side, texts of similar length form a group of n rows, each as long as the group's longest. Nothing
    masks what stands behind a text there: causal attention does not look ahead. What stands behind the last
    text in the packed row is computed and read by nobody.

    Args:
        tokens: Those of the row that belong to a text, at most R.
        shapes: (n, T) of each group.
        positions: (R,) position of each token in its text.
        last: (B,) where each text ends.
        there: (Σ n T,) packed place of each token side by side; behind a text its last token again.
        back: (R,) place side by side of each packed token; of what is read by nobody the first place.
        behind: Of each group (n, 1, 1, T), minus infinity behind a text, else 0.
        ahead: Of each group (T, T), minus infinity where a token would look ahead, else 0.
    """

    tokens: int
    shapes: list[tuple[int, int]]
    positions: Tensor
    last: Tensor
    there: Tensor
    back: Tensor
    behind: list[Tensor]
    ahead: list[Tensor]


def _pack(sizes: Sequence[int], device: torch.device) -> _Pack:
    step = -(-len(sizes) // _GROUPS)
    shapes, there, back, behind, ahead = [], [], [], [], []
    first = place = 0
    for start in range(0, len(sizes), step):
        group = torch.tensor(sizes[start : start + step])
        count, longest = len(group), _rounded(int(group.max()), _ROUNDED_LENGTH)
        at = torch.arange(longest)
        inside = at < group[:, None]  # (n, T)
        begin = first + group.cumsum(0) - group
        there.append((begin[:, None] + at.minimum(group[:, None] - 1)).flatten())
        back.append(place + inside.flatten().nonzero().squeeze(1))
        outside = torch.zeros(inside.shape).masked_fill_(~inside, -torch.inf)
        behind.append(outside[:, None, None].to(device, non_blocking=True))
        ahead.append(torch.full((longest, longest), -torch.inf, device=device).triu(1))
        shapes.append((count, longest))
        first, place = first + int(group.sum()), place + count * longest
    ends = torch.tensor(sizes).cumsum(0)
    positions = torch.arange(first) - (ends - torch.tensor(sizes)).repeat_interleave(torch.tensor(sizes))
    rows = _rounded(first, 1 << max(first // _ROUNDED_ROWS, 1).bit_length() - 1)
    nothing = torch.zeros(rows - first, dtype=torch.long)
    tables = (torch.cat([positions, nothing]), ends - 1, torch.cat(there), torch.cat([*back, nothing]))
    place_R, last_B, there_S, back_R = (table.to(device, non_blocking=True) for table in tables)
    return _Pack(first, shapes, place_R, last_B, there_S, back_R, behind, ahead)


def _rounded(size: int, step: int) -> int:
    return -(-size // step) * step


def _side_by_side(packed: Tensor, pack: _Pack, layer: Any) -> list[Tensor]:
    """Packed tokens (R, W) as one (n, heads, T, W / heads) per group."""
    padded = _Pad.apply(packed, pack.there, pack.back, pack.tokens)
    parts = padded.split([count * longest for count, longest in pack.shapes])
    return [
        part.view(*shape, layer.num_heads, layer.head_dim).transpose(1, 2)
        for part, shape in zip(parts, pack.shapes, strict=True)
    ]


class _Pad(torch.autograd.Function):
    """Rows to their places side by side. Every row has one place that counts, so back is a lookup too."""

    @staticmethod
    def forward(ctx: Any, packed: Tensor, there: Tensor, back: Tensor, tokens: int) -> Tensor:
        ctx.save_for_backward(back)
        ctx.tokens = tokens
        return packed.index_select(0, there)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        found = gradient.index_select(0, ctx.saved_tensors[0])
        found[ctx.tokens :] = 0
        return found, None, None, None


class _Unpad(torch.autograd.Function):
    """The way back; what stands behind a text gets no gradient."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, back: Tensor, tokens: int) -> Tensor:
        ctx.save_for_backward(back[:tokens])
        ctx.rows = len(padded)
        return padded.index_select(0, back)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (back,) = ctx.saved_tensors
        found = gradient.new_zeros(ctx.rows, gradient.shape[1])
        return found.index_copy_(0, back, gradient[: len(back)]), None, None


def _attention(layer: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q kᵀ / √d + mask) v over (n, heads, T, d)."""
    dropout = layer.dropout if layer.training else 0.0
    # Of the kind of the scores: a sum of two kinds makes copies of both, and takes longer than the products.
    mask = None if mask is None else mask.to(q.dtype)
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        return _unfused(layer, q, k, v, mask, dropout)
    causal = mask is not None and mask.ndim == 2  # said, so that half the products are left out
    masked = {"is_causal": True} if causal else {"attn_mask": mask}
    return functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=layer.scale, **masked)


def _unfused(layer: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """The same in single steps: torch's fused attention takes twice as long in bf16 on a CPU."""
    scores = (q * layer.scale) @ k.transpose(-2, -1)
    if mask is not None:
        scores += mask
    weights = functional.dropout(scores.softmax(dim=-1), dropout)  # softmax adds up in fp32 inside
    return weights @ v
