"""A CLIP as OpenAI's code lays it out, by torch's own attention: slow, plain, with their names of tensors."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn


class QuickGELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    def __init__(self, width: int, heads: int, activation: nn.Module) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(width)
        layers = {
            "c_fc": nn.Linear(width, 4 * width),
            "gelu": activation,
            "c_proj": nn.Linear(4 * width, width),
        }
        self.mlp = nn.Sequential(OrderedDict(layers))
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class Blocks(nn.Module):
    def __init__(self, width: int, heads: int, layers: int, activation: nn.Module) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, heads, activation) for _ in range(layers))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for block in self.resblocks:
            x = block(x, mask)
        return x


class Vision(nn.Module):
    def __init__(
        self, size: int, patch: int, width: int, heads: int, layers: int, dim: int, act: nn.Module
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width))
        self.positional_embedding = nn.Parameter(torch.randn((size // patch) ** 2 + 1, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = Blocks(width, heads, layers, act)
        self.proj = nn.Parameter(torch.randn(width, dim))

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.conv1(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1) + self.positional_embedding
        return self.ln_post(self.transformer(self.ln_pre(x))[:, 0]) @ self.proj


class OpenAIClip(nn.Module):
    """Both towers; ``long`` adds Long-CLIP's second table, read from position 20 on."""

    def __init__(
        self, *, size: int, patch: int, width: int, heads: int, layers: int, text_width: int, text_heads: int,
        text_layers: int, dim: int, quick: bool, context: int = 77, long: bool = False, words: int = 49408,
    ) -> None:  # fmt: skip
        super().__init__()
        act = QuickGELU() if quick else nn.GELU()
        self.visual = Vision(size, patch, width, heads, layers, dim, act)
        self.transformer = Blocks(text_width, text_heads, text_layers, act)
        self.token_embedding = nn.Embedding(words, text_width)
        self.positional_embedding = nn.Parameter(torch.randn(context, text_width))
        if long:
            self.positional_embedding_res = nn.Parameter(torch.randn(context, text_width))
        self.ln_final = nn.LayerNorm(text_width)
        self.text_projection = nn.Parameter(torch.randn(text_width, dim))
        self.logit_scale = nn.Parameter(torch.tensor(2.7))
        with torch.no_grad():  # what begins at nought or one would hide a tensor in the wrong place
            for parameter in self.parameters():
                parameter += 0.05 * torch.randn_like(parameter)

    def positions(self) -> Tensor:
        if not hasattr(self, "positional_embedding_res"):
            return self.positional_embedding
        first = (torch.arange(len(self.positional_embedding)) < 20)[:, None]
        return torch.where(first, self.positional_embedding, self.positional_embedding_res)

    def encode_image(self, pixels: Tensor) -> Tensor:
        return self.visual(pixels)

    def encode_text(self, ids: Tensor) -> Tensor:
        length = ids.shape[1]
        mask = torch.full((length, length), float("-inf")).triu(1)
        x = self.ln_final(self.transformer(self.token_embedding(ids) + self.positions()[:length], mask))
        return x[torch.arange(len(ids)), ids.argmax(dim=1)] @ self.text_projection
