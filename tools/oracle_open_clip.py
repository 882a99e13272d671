"""Imported checkpoints against open_clip itself: the same pixels and token ids, fp32, random weights.

``write`` runs where open_clip is installed and leaves weights, inputs and its vectors; ``compare`` imports
each here and exits 1 where a vector differs by more than 1e-5. ``make oracle`` does both, in an environment
of its own, since open_clip needs torchvision.

    python tools/oracle_open_clip.py write FOLDER [NAME ...]
    python tools/oracle_open_clip.py compare FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

ARCHITECTURES = ("ViT-B-32", "ViT-B-16-quickgelu", "ViT-L-14", "ViT-L-14-336-quickgelu", "ViT-H-14")
MOST = 1e-5
# Operators of torchvision that a build for another kind of torch does not bring; no CLIP uses one.
_OPERATORS = ("nms", "qnms", "roi_align", "_roi_align_backward", "ps_roi_align", "_ps_roi_align_backward",
              "roi_pool", "_roi_pool_backward", "ps_roi_pool", "_ps_roi_pool_backward", "qroi_align",
              "deform_conv2d", "_deform_conv2d_backward")  # fmt: skip


def write(folder: Path, names: tuple[str, ...]) -> None:
    """Random networks of open_clip, what they are given and what they answer."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [one for one in sys.modules if one.startswith("torchvision")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for name in _OPERATORS:
            library.define(f"{name}(Tensor t) -> Tensor")
    import open_clip

    for name in names:
        torch.manual_seed(0)
        network = open_clip.create_model(name).eval()
        with torch.no_grad():
            for parameter in network.parameters():  # zeros and ones would hide a tensor in the wrong place
                parameter += 0.01 * torch.randn_like(parameter)
            size = network.visual.image_size[0]
            pixels = torch.randn(2, 3, size, size)
            ids = open_clip.get_tokenizer(name)(["a park beside a river", "grey roofs " * 40])
            answers = [network.encode_image(pixels, normalize=True), network.encode_text(ids, normalize=True)]
        # As trainers leave them: one behind "module.", one beside an epoch, one bare.
        state = network.state_dict()
        if name.startswith("ViT-L-14"):
            state = {"epoch": 1, "state_dict": {f"module.{key}": value for key, value in state.items()}}
        torch.save(state, folder / f"{name}.pt")
        torch.save({"pixels": pixels, "ids": ids, "answers": answers}, folder / f"{name}.answers")
        print(f"{name}: open_clip {open_clip.__version__} answered", flush=True)


def compare(folder: Path) -> int:
    """Each network imported; how far its vectors are from open_clip's."""
    from urbanln.model.formats.importing import import_checkpoint

    worst = 0.0
    for file in sorted(folder.glob("*.pt")):
        kept = torch.load(file.with_suffix(".answers"), weights_only=True)
        activation = "quick_gelu" if "quickgelu" in file.name else "gelu"
        model = import_checkpoint(file, activation=activation).model
        with torch.no_grad():
            ours = [model.encode_image(kept["pixels"]), model.encode_text(kept["ids"])]
        far = [float((mine - theirs).abs().max()) for mine, theirs in zip(ours, kept["answers"], strict=True)]
        worst = max(worst, *far)
        print(f"{file.stem:24} pictures {far[0]:.1e}  texts {far[1]:.1e}", flush=True)
    print(f"largest difference {worst:.1e}, at most {MOST:.0e} allowed")
    return int(not 0 < worst <= MOST)


if __name__ == "__main__":
    verb, place, *chosen = sys.argv[1:]
    target = Path(place)
    target.mkdir(parents=True, exist_ok=True)
    sys.exit(compare(target) if verb == "compare" else write(target, tuple(chosen) or ARCHITECTURES))
