"""CityRep's head, D-1024-C with ReLU, stopped early on its validation part: in numpy, step for step."""

from __future__ import annotations

import math

import numpy as np

from urbanln.base.kinds import Kind
from urbanln.base.softmax import softmax
from urbanln.cityrep.draws import Draws, Single
from urbanln.cityrep.payloads import Payload
from urbanln.cityrep.splits import Parts
from urbanln.probe.threads import one_thread

HIDDEN, RATE, BATCH = 1024, 1e-3, 512
EPOCHS, PATIENCE = 100, 10
BETTER = 1e-8  # by so much a validation loss has to fall
DECAYS, TINY = (0.9, 0.999), 1e-8
ROWS_AT_ONCE = 4096


def head_held_out(X: Single, payload: Payload, parts: Parts) -> Single:
    """What CityRep's head says of the held-out samples of one seed.

    One hidden layer of 1024 with ReLU; Adam at 1e-3 in batches of 512, without decay; mean squared error for
    numbers, cross entropy for classes, Kullback-Leibler divergence for shares. After every epoch the mean of
    the
    losses of its validation batches is looked at: up to 100 epochs, until it has not fallen for 10, the
    weights of the best kept. First weights and batches are those that torch draws from the seed
    (:mod:`urbanln.cityrep.draws`), so predictions differ from CityRep's in the rounding of sums alone.

    Args:
        X: (N, D) vectors, as :func:`urbanln.cityrep.vectors.unit_length` leaves them.
        payload: The samples.
        parts: Of one seed.

    Returns:
        (M, C) outputs for ``parts.test``: a number, or what a softmax makes probabilities of.
    """
    draws = Draws(parts.seed)
    network = Network(X.shape[1], payload.outputs, payload.task.kind, draws)
    target = _targets(payload)
    train, val = (X[parts.train], target[parts.train]), (X[parts.val], target[parts.val])
    best, kept, waited = math.inf, network.copied(), 0
    with one_thread():
        for _ in range(EPOCHS):
            draws.whole()  # torch gives each pass over its data a seed for helpers, which there are none of
            order = Draws(draws.whole()).order(len(parts.train))
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                network.step(train[0][rows], train[1][rows])
            draws.whole()
            loss = network.loss(*val)
            if loss + BETTER < best:
                best, kept, waited = loss, network.copied(), 0
            else:
                waited += 1
                if waited >= PATIENCE:
                    break
        network.weights[:] = kept
        return network.outputs(X[parts.test])


def _targets(payload: Payload) -> Single:
    """What outputs are held against, (N, C): numbers, ones where a sample's class is, shares."""
    if payload.task.kind == "classes":
        return np.eye(payload.outputs, dtype=np.float32)[payload.y]
    return payload.y.reshape(len(payload), -1).astype(np.float32)


class Network:
    """The weights of a head, and how a batch moves them.

    Args:
        columns: D.
        outputs: C.
        kind: Of label; it says which loss.
        draws: Of the first weights.

    Attributes:
        weights: All of them, in one row, so that Adam moves them in one go.
    """

    def __init__(self, columns: int, outputs: int, kind: Kind, draws: Draws) -> None:
        into, out = 1 / math.sqrt(columns), 1 / math.sqrt(HIDDEN)
        shapes = ((HIDDEN, columns), (HIDDEN,), (outputs, HIDDEN), (outputs,))
        first = [draws.uniform(b, *shape) for b, shape in zip((into, into, out, out), shapes, strict=True)]
        self.weights = np.concatenate([part.ravel() for part in first])
        self._gradient, self._along = np.empty_like(self.weights), np.empty_like(self.weights)
        self._mean, self._square = np.zeros_like(self.weights), np.zeros_like(self.weights)
        self._now, self._towards = (_views(row, shapes) for row in (self.weights, self._gradient))
        self._kind, self._steps = kind, 0

    def copied(self) -> Single:
        """The weights as they are now."""
        return self.weights.copy()

    def outputs(self, X: Single) -> Single:
        """(M, C) of rows (M, D)."""
        entry, entry_bias, leave, leave_bias = self._now
        made = np.empty((len(X), len(leave)), dtype=np.float32)
        for start in range(0, len(X), ROWS_AT_ONCE):
            hidden = X[start : start + ROWS_AT_ONCE] @ entry.T
            hidden += entry_bias
            np.maximum(hidden, 0, out=hidden)
            made[start : start + ROWS_AT_ONCE] = hidden @ leave.T
        return made + leave_bias

    def loss(self, X: Single, target: Single) -> float:
        """Mean of the losses of batches, each as heavy as any other: the last one too, which is smaller."""
        made = self.outputs(X)
        if self._kind == "number":
            each = ((made - target) ** 2).mean(axis=1)
        else:
            log = made - made.max(axis=1, keepdims=True)
            log -= np.log(np.exp(log).sum(axis=1, keepdims=True))
            # A share of 0 adds nothing; for classes this is the cross entropy.
            own = np.log(target, out=np.zeros_like(target), where=target > 0)
            each = (target * (own - log)).sum(axis=1)
        return float(np.mean([each[start : start + BATCH].mean() for start in range(0, len(each), BATCH)]))

    def step(self, X: Single, target: Single) -> None:
        """Move the weights by a batch (B, D) and its targets (B, C)."""
        entry, entry_bias, leave, leave_bias = self._now
        to_entry, to_entry_bias, to_leave, to_leave_bias = self._towards
        hidden = X @ entry.T
        hidden += entry_bias
        active = hidden > 0
        hidden *= active
        made = hidden @ leave.T
        made += leave_bias
        if self._kind == "number":
            error = (made - target) * np.float32(2 / target.size)
        else:
            error = (softmax(made) * target.sum(axis=1, keepdims=True) - target) / np.float32(len(X))
        np.matmul(error.T, hidden, out=to_leave)
        error.sum(axis=0, out=to_leave_bias)
        back = error @ leave
        back *= active
        np.matmul(back.T, X, out=to_entry)
        back.sum(axis=0, out=to_entry_bias)
        self._move()

    def _move(self) -> None:
        """A step of Adam along the gradient (Kingma and Ba 2015)."""
        self._steps += 1
        gradient, along = self._gradient, self._along
        for sums, decay, power in ((self._mean, DECAYS[0], 1), (self._square, DECAYS[1], 2)):
            np.multiply(gradient, gradient if power == 2 else 1, out=along)
            along *= np.float32(1 - decay)
            sums *= np.float32(decay)
            sums += along
        grown = [1 - decay**self._steps for decay in DECAYS]
        np.sqrt(self._square, out=along)
        along /= np.float32(math.sqrt(grown[1]))
        along += np.float32(TINY)
        np.divide(self._mean, along, out=along)
        along *= np.float32(RATE / grown[0])
        self.weights -= along


def _views(row: Single, shapes: tuple[tuple[int, ...], ...]) -> list[Single]:
    """Parts of one row, each of its shape."""
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(row, ends[:-1]), shapes, strict=True)]
