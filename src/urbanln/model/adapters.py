"""LoRA: small matrices beside a tower's linear layers that train in their place, by the peft library.

A layer computes (W + s B A) x, where W stays as it came and s is alpha / rank. The teacher has no adapters:
it averages W + s B A, so it stays a network like any other, and what is saved is one too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from urbanln.base.config import TrainSettings
from urbanln.base.errors import InputError, require
from urbanln.base.files import SCHEMA_VERSION, atomic_folder, write_json
from urbanln.model.checkpoint import plain_os_errors
from urbanln.model.clip import LongClip
from urbanln.model.source import ADAPTER_FILES, RECORD_FILE
from urbanln.model.stretch import TextPositions, plain_state

TRAINED_FILE = "trained.safetensors"
_NAME = "default"  # peft keeps adapters by name; this one is what its own readers take
# Attention is called so in CLIP, SigLIP, ViT, DINOv2 and BERT alike.
_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
_README = """# A LoRA adapter

It belongs to one base network, which `{record}` names with the SHA-256 of its weights. `../model` is that
base with the adapter merged; it needs none of this. To have them apart, with `BASE` and `ADAPTER` the two
folders:

```python
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel

base, trained = AutoModel.from_pretrained(BASE), load_file(ADAPTER + "/{trained}")
for name, tensor in trained.items():  # stretched text positions and the logit scale, which train beside it
    owner, _, last = name.rpartition(".")
    setattr(base.get_submodule(owner), last, torch.nn.Parameter(tensor))
    if tensor.ndim == 2:  # as many positions as it has rows
        text = base.get_submodule(owner.rpartition(".")[0])
        text.position_ids = torch.arange(len(tensor))[None]
        text.token_type_ids = torch.zeros_like(text.position_ids)  # BERT reads them
model = PeftModel.from_pretrained(base, ADAPTER)
```
"""


def adapt(model: LongClip, train: TrainSettings) -> None:
    """Put an adapter beside each linear layer that trains; those, and what reads text positions, train then.

    Linear layers are found by what they are, not by what they are called: every ``nn.Linear`` within the
    layers of both towers. Heads and projections behind them are few numbers that all of a vector passes
    through, and stay. What was frozen before gets no adapter. The rows of a stretched table of text positions
    train, since they are new; the logit scale too.

    Args:
        model: On its device; changed in place. Its vectors stay equal, as B begins at zero.
        train: ``lora_rank``, ``lora_alpha``, ``lora_targets`` and ``seed`` are used.

    Raises:
        InputError: No linear layer is left to adapt.
        MissingExtraError: peft is not installed.

    Source:
        LoRA (arXiv 2106.09685); adapters on all linear layers, as in QLoRA (arXiv 2305.14314).
    """
    peft = require("peft")
    within = {id(part) for tower in model.towers for layer in tower.layers for part in layer.modules()}
    targets = [
        name
        for name, module in model.clip.named_modules()
        # Not its subclasses: torch's own attention reads the weight of one and never calls it.
        if type(module) is nn.Linear
        and id(module) in within
        and module.weight.requires_grad
        and (train.lora_targets == "all" or _ATTENTION.search(name))
    ]
    if not targets:
        raise InputError(
            "no linear layer of the towers is left for adapters",
            value=f"lora_rank={train.lora_rank}, lora_targets={train.lora_targets}",
            where="train.lora_rank",
            remedy="freeze fewer layers (train.freeze_vision, train.freeze_text), or set train.lora_rank=0",
        )
    beside = [model.logit_scale, *_new_positions(model.clip, model.record.stretched_from is not None)]
    config = peft.LoraConfig(
        r=train.lora_rank, lora_alpha=train.lora_alpha, lora_dropout=0.0, target_modules=targets
    )
    with torch.random.fork_rng(devices=[]):  # A depends on the seed alone, not on what was drawn before
        torch.manual_seed(train.seed)
        peft.inject_adapter_in_model(config, model.clip, adapter_name=_NAME)
    for weight in beside:
        weight.requires_grad_(True)


def _new_positions(clip: nn.Module, stretched: bool) -> list[nn.Parameter]:
    tables = [module for module in clip.modules() if isinstance(module, TextPositions)]
    rows = [weight for table in tables for weight in table.parameters() if weight.requires_grad]
    return rows if stretched else []


def plain_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter, Any]]:
    """The weights of a network as it is without adapters.

    Args:
        model: With adapters or without.

    Yields:
        The plain network's name of a weight, the weight, and the adapter beside it (of ``peft``), or None;
        in the order in which the plain network has them.
    """
    adapters = dict(_adapted(model))
    for name, weight in model.named_parameters():
        owner, _, last = name.rpartition(".")
        if ".lora_" in name:
            continue
        layer = owner.removesuffix(".base_layer")
        plain = f"{layer}.{last}" if layer != owner else name
        yield plain, weight, adapters.get(layer) if last == "weight" and layer != owner else None


def merged_weight(weight: Tensor, adapter: Any) -> Tensor:
    """W + s B A in fp32, a new tensor of the shape of ``weight``; detached."""
    with torch.no_grad():
        return weight.float() + adapter.get_delta_weight(_NAME).float()


def merge(model: LongClip) -> None:
    """Take the adapters into the weights, in place: the network is then one that never had any."""
    for name, layer in list(_adapted(model)):
        base = layer.get_base_layer()
        base.weight = nn.Parameter(merged_weight(base.weight, layer), requires_grad=False)
        owner, _, last = name.rpartition(".")
        setattr(model.get_submodule(owner), last, base)
    model.clip.__dict__.pop("peft_config", None)


def save_adapter(model: LongClip, folder: Path, base: Mapping[str, str]) -> Path:
    """Write the adapters in peft's own format, and beside them what else trained.

    Args:
        model: With adapters, not merged yet.
        folder: Where to; what stands there is replaced. Written whole or not at all.
        base: What it belongs to: ``base``, ``revision``, ``sha256`` of the weights.

    Raises:
        StorageError: Disk full or read-only.
    """
    layers, weights = dict(_adapted(model.clip)), {}
    for name, layer in layers.items():
        for part in ("lora_A", "lora_B"):
            # Under the names that a network wrapped by peft gives them.
            weights[f"base_model.model.{name}.{part}.weight"] = getattr(layer, part)[_NAME].weight
    config = model.clip.peft_config[_NAME]
    config.base_model_name_or_path, config.revision = base.get("base"), base.get("revision")
    config.inference_mode = True
    facts = {
        key: sorted(value) if isinstance(value, set) else value for key, value in config.to_dict().items()
    }
    state = plain_state(model.clip)
    tables = [name for name, one in model.clip.named_modules() if isinstance(one, TextPositions)]
    trained = {name: state[name] for name in ("logit_scale", *(f"{table}.weight" for table in tables))}
    with atomic_folder(folder) as temporary, plain_os_errors():
        for file, tensors in ((ADAPTER_FILES[1], weights), (TRAINED_FILE, trained)):
            plain = {name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()}
            save_file(plain, temporary / file, metadata={"format": "pt"})
        write_json(temporary / ADAPTER_FILES[0], facts)
        write_json(
            temporary / RECORD_FILE, {"schema_version": SCHEMA_VERSION, "kind": "adapter", **dict(base)}
        )
        text = _README.format(record=RECORD_FILE, trained=TRAINED_FILE)
        (temporary / "README.md").write_text(text, encoding="utf-8")
    return folder


def is_whole_adapter(folder: Path) -> bool:
    """Whether all of an adapter that this package saved is there, but for its README."""
    return all((folder / name).is_file() for name in (*ADAPTER_FILES[:2], TRAINED_FILE, RECORD_FILE))


def _adapted(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Layers that peft put adapters beside. Told by what they have: peft need not be installed to look."""
    for name, module in model.named_modules():
        if hasattr(module, "get_delta_weight") and hasattr(module, "base_layer"):
            yield name, module
