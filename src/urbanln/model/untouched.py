"""Whether a tower is as transformers built it, so that its work may be done in another order.

:mod:`urbanln.model.towers` never calls a layer as a whole, and reads weights of its parts. Whatever somebody
put there (hooks, adapters, sharded or quantised weights, checkpointed activations) would be passed over; but
for LoRA beside a linear layer, which is called in that layer's place and knows no other token.
"""

from __future__ import annotations

from torch import Tensor, nn
from transformers.models.clip import modeling_clip as clip

from urbanln.model.stretch import TextPositions

# All of transformers' own: which of them a tower is made of differs between versions.
_PLAIN = {
    *(one for one in vars(clip).values() if isinstance(one, type) and issubclass(one, nn.Module)),
    nn.ModuleList, nn.Linear, nn.LayerNorm, nn.Embedding, nn.Conv2d, TextPositions,
}  # fmt: skip
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_WEIGHTS = (nn.Parameter, Tensor)


def what_was_put_there(tower: nn.Module) -> str | None:
    """What makes a tower another than the one that transformers built; None where nothing does.

    Args:
        tower: ``vision_model`` or ``text_model`` of a ``CLIPModel``, or one of its layers.

    Returns:
        A reason in few words. A class that is not known counts as one: what it does, it does when called.
    """
    adapters: tuple[str, ...] = ()
    for name, module in tower.named_modules():
        where = name or "the tower"
        if is_lora(module):
            adapters += (f"{name}.",)
        elif (
            type(module) not in _PLAIN
            and not name.endswith("activation_fn")
            and not name.startswith(adapters)  # its parts are called by the adapter alone
        ):
            return f"{where} is a {type(module).__name__}"
        if "forward" in vars(module):
            return f"{where} has a forward of its own"
        if any(getattr(module, hooks) for hooks in _HOOKS):
            return f"{where} has a hook"
        if getattr(module, "gradient_checkpointing", False) and module.training:
            return "activations are checkpointed"
        for weight in (*module._parameters.values(), *module._buffers.values()):
            if weight is not None and type(weight) not in _WEIGHTS:
                return f"a weight of {where} is a {type(weight).__name__}"
    return None


def is_lora(module: nn.Module) -> bool:
    """Whether a module is a linear layer with peft's LoRA beside it, and no variant that does more."""
    kind = type(module)  # by its name: peft may not be installed
    plain = (kind.__module__, kind.__qualname__) == ("peft.tuners.lora.layer", "Linear")
    return plain and not getattr(module, "lora_variant", True)
