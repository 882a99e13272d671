"""Models that come in and go out, against open_clip itself: the same pixels, fp32, in two environments.

``write`` and ``read`` run where open_clip is installed, ``compare`` and ``export`` here; both ends exit 1
where a vector differs by more than 1e-5. ``make oracle`` calls all four: open_clip needs torchvision, and so
an environment of its own.

    write FOLDER [NAME ...]   random networks of open_clip, what they are given and what they answer
    compare FOLDER            each of them imported, and how far its vectors are
    export FOLDER             the tiny base CLIP for open_clip, what it is given and what it answers
    read FOLDER               that folder opened by open_clip, with the tokenizer in it, and how far it is
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

ARCHITECTURES = ("ViT-B-32", "ViT-B-16-quickgelu", "ViT-L-14", "ViT-L-14-336-quickgelu", "ViT-H-14")
TEXTS = ["a park beside a river", "grey roofs " * 60]
MOST = 1e-5
# Operators of torchvision that a build for another kind of torch does not bring; no CLIP uses one.
_OPERATORS = ("nms", "qnms", "roi_align", "_roi_align_backward", "ps_roi_align", "_ps_roi_align_backward",
              "roi_pool", "_roi_pool_backward", "ps_roi_pool", "_ps_roi_pool_backward", "qroi_align",
              "deform_conv2d", "_deform_conv2d_backward")  # fmt: skip


_kept: list[Any] = []  # what is defined goes with its library


def _open_clip() -> Any:
    """open_clip, also beside a torchvision that was built for another kind of torch."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [one for one in sys.modules if one.startswith("torchvision")]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for name in _OPERATORS:
            library.define(f"{name}(Tensor t) -> Tensor")
        _kept.append(library)
    import open_clip

    return open_clip


def write(folder: Path, names: tuple[str, ...]) -> int:
    """Random networks of open_clip, what they are given and what they answer."""
    open_clip = _open_clip()
    for name in names:
        torch.manual_seed(0)
        network = open_clip.create_model(name).eval()
        with torch.no_grad():
            for parameter in network.parameters():  # zeros and ones would hide a tensor in the wrong place
                parameter += 0.01 * torch.randn_like(parameter)
            size = network.visual.image_size[0]
            pixels = torch.randn(2, 3, size, size)
            ids = open_clip.get_tokenizer(name)(TEXTS)
            answers = [network.encode_image(pixels, normalize=True), network.encode_text(ids, normalize=True)]
        # As trainers leave them: one behind "module.", one beside an epoch, one bare.
        state = network.state_dict()
        if name.startswith("ViT-L-14"):
            state = {"epoch": 1, "state_dict": {f"module.{key}": value for key, value in state.items()}}
        torch.save(state, folder / f"{name}.pt")
        torch.save({"pixels": pixels, "ids": ids, "answers": answers}, folder / f"{name}.answers")
        print(f"{name}: open_clip {open_clip.__version__} answered", flush=True)
    return 0


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
        worst = max(worst, _far(file.stem, ours, kept["answers"]))
    return _verdict(worst)


def export(folder: Path) -> int:
    """The tiny base CLIP for open_clip, what it is given and what it answers."""
    from urbanln.model.clip import load_clip
    from urbanln.model.formats.exporting import export_model

    torch.manual_seed(0)
    model = load_clip("tiny")
    export_model(model, "open_clip", folder / "exported")
    with torch.no_grad():
        pixels = torch.randn(2, 3, model.image_size, model.image_size)
        answers = [model.encode_image(pixels), model.encode_text(model.tokenize(TEXTS))]
    torch.save({"pixels": pixels, "answers": answers}, folder / "exported.answers")
    return 0


def read(folder: Path) -> int:
    """That folder opened by open_clip, with the tokenizer in it, and how far its vectors are."""
    open_clip = _open_clip()
    place = f"local-dir:{folder / 'exported'}"
    network = open_clip.create_model(place).eval()
    kept = torch.load(folder / "exported.answers", weights_only=True)
    with torch.no_grad():
        ids = open_clip.get_tokenizer(place)(TEXTS)
        theirs = [
            network.encode_image(kept["pixels"], normalize=True),
            network.encode_text(ids, normalize=True),
        ]
    return _verdict(_far("exported", theirs, kept["answers"]))


def _far(name: str, ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> float:
    far = [float((one - other).abs().max()) for one, other in zip(ours, theirs, strict=True)]
    print(f"{name:24} pictures {far[0]:.1e}  texts {far[1]:.1e}", flush=True)
    return max(far)


def _verdict(worst: float) -> int:
    print(f"largest difference {worst:.1e}, at most {MOST:.0e} allowed")
    return int(not 0 < worst <= MOST)


VERBS = {"compare": compare, "export": export, "read": read}

if __name__ == "__main__":
    verb, place, *chosen = sys.argv[1:]
    target = Path(place)
    target.mkdir(parents=True, exist_ok=True)
    sys.exit(write(target, tuple(chosen) or ARCHITECTURES) if verb == "write" else VERBS[verb](target))
