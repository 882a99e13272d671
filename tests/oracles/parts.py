"""Slow, obvious versions of the scores of classes and shares: row by row, resample by resample."""

from __future__ import annotations

import math

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score


def kl(truth, made):
    """Σ t log(t / p) of one row."""
    return sum(t * math.log(t / p) for t, p in zip(truth, made, strict=True) if t > 0)


def macro_f1(y, made):
    """scikit-learn's F1, averaged over the classes among the truths."""
    truth, guess = y.argmax(axis=1), made.argmax(axis=1)
    return f1_score(truth, guess, labels=sorted(set(truth.tolist())), average="macro", zero_division=0)


def kl_skill(y, made, reference):
    """1 − mean KL / mean KL of the reference."""
    return 1 - sum(map(kl, y, made)) / sum(map(kl, y, reference))


def f1_of(number, y, made):
    """scikit-learn's F1 of one class."""
    truth, guess = y.argmax(axis=1) == number, made.argmax(axis=1) == number
    return f1_score(truth, guess, zero_division=0)


def macro_f1_of_resample(y, made, rows):
    """Macro F1 of some rows; a class of all rows that is not among these keeps what it has among all."""
    there = {number: y[rows, number].any() for number in np.flatnonzero(y.any(axis=0))}
    each = [f1_of(c, y[rows], made[rows]) if drawn else f1_of(c, y, made) for c, drawn in there.items()]
    return float(np.mean(each))


def resampled(score, y, predictions, references, resamples):
    """A score of every resample, by writing the resampled rows out."""
    scores = []
    for counts, weights in zip(resamples.block_draws, resamples.seed_draws, strict=True):
        drawn = enumerate(counts)
        rows = np.concatenate([np.repeat(np.flatnonzero(resamples.blocks == b), int(c)) for b, c in drawn])
        each = [score(y, made, base, rows) for made, base in zip(predictions, references, strict=True)]
        scores.append(float(np.dot(weights, each)))
    return np.array(scores)


def class_set(probabilities, others, level):
    """The conformal set of one row, from probabilities of the true class in the other folds."""
    strange = sorted(1 - p for p in others)
    rank = math.ceil((len(strange) + 1) * level - 1e-9)
    if rank > len(strange):
        return None
    return [c for c, p in enumerate(probabilities) if 1 - p <= strange[rank - 1] + 1e-12]


def logistic(X, classes, fold, strengths):
    """scikit-learn's multinomial regression, strength by strength and inner fold by inner fold."""
    known = fold.known
    X = X.astype(np.float64)
    Z = (X - X[known].mean(0)) / X[known].std(0)
    parts = np.unique(fold.inner)
    losses = []
    for strength in strengths:
        loss = 0.0
        for part in parts:
            train, held = known[fold.inner != part], known[fold.inner == part]
            model = _fitted(Z[train], classes[train], strength)
            made = model.predict_proba(Z[held])
            count = made.shape[1]
            for row, own in zip(held, made, strict=True):
                even = (len(train) * own + 1 / count) / (len(train) + 1)
                loss -= math.log(even[list(model.classes_).index(classes[row])])
        losses.append(loss)
    best = strengths[int(np.argmin(losses))]
    return best, _fitted(Z[known], classes[known], best).predict_proba(Z[fold.test])


def _fitted(Z, classes, strength):
    return LogisticRegression(C=1 / (strength * len(Z)), tol=1e-9, max_iter=5000).fit(Z, classes)
