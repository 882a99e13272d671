"""The paper's head, D-256-1 with ReLU: the networks of all labels of a fold in one batched pass of numpy.

For classes and shares it is one network D-256-C, whose outputs are parts by a softmax.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.linalg.blas import saxpy

from urbanln.base.softmax import softmax
from urbanln.base.space import Floats
from urbanln.probe.columns import Scale, check_validation, chunks, column_scale
from urbanln.probe.simplex import divergence, evened, one_more
from urbanln.probe.splits import Fold

HIDDEN, RATE, PENALTY = 256, 1e-3, 0.1
EPOCHS, PATIENCE = 60, 8
FEWEST_ROWS, MOST_ROWS = 32, 256  # of a batch
# Beyond this many steps more epochs bring nothing: 60 epochs of some 25,000 rows.
STEPS, FEWEST_EPOCHS = 6000, 12
# Adam's decays, and what keeps it from dividing by 0: as Kingma and Ba 2015 and scikit-learn have them.
DECAYS, TINY = (0.9, 0.999), 1e-8
RESCALE = 1e8  # what float32 bears of sums that grow
AT_ONCE = 2**20  # weights, or hidden values of a batch, of the networks fitted together: 30 MB in all
BLOCK = 2**15  # weights moved at a time: five rows of so many stay in a processor's cache
Single = npt.NDArray[np.float32]


def mlp(X: npt.NDArray, y: Floats, fold: Fold, seed: int = 0) -> Floats:
    """The paper's head, D-256-1 with ReLU, stopped early on the fold's own validation part.

    There is no dropout (the literature uses .01). Up to 60 epochs, patience 8 on the fold's validation
    blocks, the weights of the best epoch kept. Above some 25,000 training rows both shrink, so that a fit
    takes about 6000 steps at most. Adam at 1e-3; UrbanCLIP and UrbanVLP use AdamW at 3e-4 for
    up to 100 epochs, and the larger step reaches the same place in fewer. The L2 penalty is
    .1 / 2 |w|² beside the mean squared error: their weight decay of .01 does next to nothing, and with a
    few hundred regions the network then fits noise (on 400 simulated regions with 128 columns, held-out
    R² .40 against .13 for a curved signal in noise).

    First weights, batches and steps are those of scikit-learn's ``MLPRegressor`` under the same random
    numbers. These depend on seed and rows alone, so all labels of a fold share first weights and batches, and
    a batch is read once for all of them. A label's network does not depend on which others are beside it.

    Args:
        X: (N, D) vectors, standardised by training rows.
        y: (N,) labels, or (N, L) of several, standardised by training rows.
        fold: Row numbers.
        seed: Of the first weights and the order of rows.

    Raises:
        InputError: The fold has no validation part.
    """
    check_validation(fold)
    scale = column_scale(X, fold.train)
    labels = y if y.ndim == 2 else y[:, None]
    own = labels[fold.train]
    centre, equal = own.mean(axis=0), own.min(axis=0) == own.max(axis=0)
    spread = np.where(equal, 1.0, own.std(axis=0))
    target = ((labels - centre) / spread).astype(np.float32)
    piece = max(AT_ONCE // (HIDDEN * max(X.shape[1] + 2, MOST_ROWS)), 1)
    seen = _with_one(scale, X, fold.train), _with_one(scale, X, fold.val)
    made = np.empty((len(fold.test), labels.shape[1]))
    for start in range(0, labels.shape[1], piece):
        part = slice(start, start + piece)
        goal = target[:, part].T[..., None]
        networks = _fitted(seen, (goal[:, fold.train], goal[:, fold.val]), seed)
        for rows in chunks(fold.test, X.shape[1]):
            made[rows, part] = networks.predict(_with_one(scale, X, fold.test[rows]))[..., 0].T
    made = made * spread + centre
    return made if y.ndim == 2 else made[:, 0]


def softmax_mlp(X: npt.NDArray, y: Floats, fold: Fold, seed: int = 0) -> Floats:
    """The paper's head for classes and shares: D-256-C, a softmax, cross-entropy with parts as its targets.

    All else is as in :func:`mlp`, and first weights, batches and steps are those of scikit-learn's
    ``MLPClassifier`` for three classes or more; the best epoch is that of the smallest Kullback-Leibler
    divergence on the validation part.

    Args:
        X: (N, D) vectors, standardised by training rows.
        y: (N, C) parts that sum to one; one-hot for classes.
        fold: Row numbers.
        seed: Of the first weights and the order of rows.

    Raises:
        InputError: The fold has no validation part.
    """
    check_validation(fold)
    scale = column_scale(X, fold.train)
    seen = _with_one(scale, X, fold.train), _with_one(scale, X, fold.val)
    target = (y[fold.train][None].astype(np.float32), y[fold.val][None].astype(np.float32))
    network = _fitted(seen, target, seed, softmax=True)
    made = np.empty((len(fold.test), y.shape[1]))
    for rows in chunks(fold.test, X.shape[1]):
        made[rows] = softmax(network.predict(_with_one(scale, X, fold.test[rows])))[0]
    return made


def _with_one(scale: Scale, X: npt.NDArray, rows: npt.NDArray) -> Single:
    """Standardised rows with a column of ones, so that the first biases are one more row of weights."""
    made = np.ones((len(rows), X.shape[1] + 1), dtype=np.float32)
    for part in chunks(rows, X.shape[1]):
        made[part, :-1] = scale.rows(X, rows[part])
    return made


def schedule(rows: int) -> tuple[int, int, int]:
    """Rows of a batch, epochs at most, and epochs to wait for a better one, for so many training rows."""
    batch = int(min(rows, np.clip(rows // 8, FEWEST_ROWS, MOST_ROWS)))
    epochs = int(np.clip(STEPS * batch // rows, FEWEST_EPOCHS, EPOCHS))
    return batch, epochs, max(PATIENCE * epochs // EPOCHS, 2)


def _fitted(
    seen: tuple[Single, Single], target: tuple[Single, Single], seed: int, softmax: bool = False
) -> Networks:
    """One network per label, each with the weights of its best epoch; targets are (L, rows, C)."""
    (train, val), (y, y_val) = seen, (target[0].copy(), target[1])
    rows = len(train)
    batch, epochs, patience = schedule(rows)
    rng = np.random.RandomState([seed, rows])
    networks = Networks(train.shape[1], y.shape[::2], batch, rng, softmax)
    best, waited = np.full(len(y), np.inf, dtype=np.float32), np.zeros(len(y), dtype=np.int64)
    for _ in range(epochs):
        order = np.arange(rows)
        rng.shuffle(order)
        for start in range(0, rows, batch):
            drawn = order[start : start + batch]
            networks.step(train.take(drawn, axis=0), y[:, drawn])
        going = networks.going
        error = _loss(networks.predict(val, going=True), y_val[going], rows if softmax else 0)
        better = error < best[going]
        best[going] = np.where(better, error, best[going])
        waited[going] = np.where(better, 0, waited[going] + 1)
        networks.keep(better)
        y = y[waited[going] < patience]
        networks.go_on(waited[going] < patience)
        if not len(y):
            break
    return networks


def _loss(made: Single, y: Single, learned: int) -> Single:
    """Mean loss (L,) on the validation part: squared, or of parts by a softmax learned from so many rows."""
    if learned:
        own = evened(softmax(made)[0].astype(np.float64), one_more(learned))
        return np.array([divergence(y[0].astype(np.float64), own).mean()], dtype=np.float32)
    return np.asarray(((made - y)[..., 0] ** 2).mean(axis=1))


class Networks:
    """Networks of equal shape, one per label, that take the same batches until each stops for itself.

    All weights of a network are one row, (C × 256 to the outputs, (D + 1) × 256 from the input, C), so that
    Adam moves them in one go. Its two sums are kept growing instead of decaying: what is new enters with a
    weight that grows by 1 / decay each step, which saves a pass over memory each.

    Args:
        columns: Of the rows, with that of ones.
        shape: Number of networks, and of the outputs of each.
        batch: Rows of a full batch.
        rng: Draws the first weights, as scikit-learn does.
        softmax: The outputs are parts and the loss is cross-entropy; else one number and squared error.
    """

    def __init__(
        self,
        columns: int,
        shape: tuple[int, ...],
        batch: int,
        rng: np.random.RandomState,
        softmax: bool = False,
    ) -> None:
        labels, outputs = shape
        pairs = (columns - 1, HIDDEN), (HIDDEN, outputs)
        first, second = (np.sqrt(6.0 / (into + out)) for into, out in pairs)
        entry = rng.uniform(-first, first, (columns - 1, HIDDEN)), rng.uniform(-first, first, HIDDEN)
        leave = rng.uniform(-second, second, (HIDDEN, outputs)), rng.uniform(-second, second, outputs)
        drawn = np.concatenate([leave[0].T.ravel(), entry[0].ravel(), entry[1], leave[1]]).astype(np.float32)
        self._outputs, self._softmax = outputs, softmax
        self.going = np.arange(labels)
        self.best = np.tile(drawn, (labels, 1))
        self._penalty = PENALTY * batch
        self._weights, self._columns = self.best.copy(), columns
        self._sums = np.zeros((2, *self.best.shape), dtype=np.float32)
        self._gradient = np.empty_like(self.best)
        self._grown, self._steps = [1.0, 1.0], 0
        self._hidden = np.empty((labels, batch, HIDDEN), dtype=np.float32)
        self._active = np.empty(self._hidden.shape, dtype=bool)
        self._views()

    def _parts(self, weights: Single) -> tuple[Single, Single, Single]:
        """Weights to the outputs (L, C, 256), from the input (L, D + 1, 256), biases (L, C)."""
        leave, count = self._outputs * HIDDEN, len(weights)
        entry = weights[:, leave : -self._outputs].reshape(count, self._columns, HIDDEN)
        return weights[:, :leave].reshape(count, self._outputs, HIDDEN), entry, weights[:, -self._outputs :]

    def _views(self) -> None:
        """What a step goes through, made once: slicing takes as long as a pass over a thousand weights."""
        self._now, self._towards = self._parts(self._weights), self._parts(self._gradient)
        inner, size = HIDDEN * (self._columns + self._outputs - 1), self.best.shape[1]
        spare = np.empty(min(BLOCK, size), dtype=np.float32)
        rows = list(zip(self._weights, self._gradient, *self._sums, strict=True))
        self._punished = [(weights[:inner], gradient[:inner]) for weights, gradient, *_ in rows]
        self._blocks = [
            (*(values[start : start + BLOCK] for values in row), spare[: min(BLOCK, size - start)])
            for row in rows
            for start in range(0, size, BLOCK)
        ]

    def step(self, rows: Single, y: Single) -> None:
        """Move the weights by a batch: rows (B, D + 1) and labels (L', B, C) of the networks still going."""
        leave, entry, bias = self._now
        to_leave, to_entry, to_bias = self._towards
        hidden = np.matmul(rows, entry, out=self._hidden[: len(entry), : len(rows)])
        active = np.greater(hidden, 0, out=self._active[: len(entry), : len(rows)])
        hidden *= active
        error = np.matmul(hidden, leave.swapaxes(1, 2))
        error += bias[:, None]
        if self._softmax:
            error = softmax(error)
        error -= y
        error /= len(rows)
        np.matmul(error.swapaxes(1, 2), hidden, out=to_leave)
        to_bias[:] = error.sum(axis=1)
        np.matmul(error, leave, out=hidden)
        hidden *= active
        np.matmul(rows.T, hidden, out=to_entry)
        self._move(self._penalty / len(rows))

    def _move(self, penalty: float) -> None:
        """A step of Adam along the gradient; the biases have no penalty."""
        self._steps += 1
        up, mean_part = [0.0, 0.0], [1 - decay**self._steps for decay in DECAYS]
        for which, decay in enumerate(DECAYS):
            if self._grown[which] > RESCALE:
                self._sums[which] /= self._grown[which]
                self._grown[which] = 1.0
            up[which] = self._grown[which] = self._grown[which] / decay
        # Numbers of Python's: one of numpy's would make a pass in float64 of each.
        root = math.sqrt((1 - DECAYS[1]) / up[1])
        rate = -RATE * math.sqrt(mean_part[1]) / mean_part[0] * (1 - DECAYS[0]) / up[0] / root
        tiny = TINY / root
        for weights, gradient in self._punished:
            saxpy(weights, gradient, a=penalty)
        for weights, gradient, mean, square, along in self._blocks:
            saxpy(gradient, mean, a=up[0])
            np.multiply(gradient, gradient, out=gradient)
            saxpy(gradient, square, a=up[1])
            np.sqrt(square, out=along)
            np.add(along, tiny, out=along)
            np.divide(mean, along, out=along)
            saxpy(along, weights, a=rate)

    def predict(self, rows: Single, going: bool = False) -> Single:
        """Outputs (L, M, C) of rows (M, D + 1), by each network's best weights or those of the ones going."""
        leave, entry, bias = self._now if going else self._parts(self.best)
        made = np.empty((len(leave), len(rows), self._outputs), dtype=np.float32)
        for part in chunks(np.arange(len(rows)), HIDDEN * len(leave)):
            hidden = np.matmul(rows[part], entry)
            hidden *= hidden > 0
            made[:, part] = np.matmul(hidden, leave.swapaxes(1, 2))
        return made + bias[:, None]

    def keep(self, better: npt.NDArray[np.bool_]) -> None:
        """Remember the weights of those going that have become better."""
        self.best[self.going[better]] = self._weights[better]

    def go_on(self, still: npt.NDArray[np.bool_]) -> None:
        """Leave those that have waited long enough as they are."""
        if not still.all():
            self.going = self.going[still]
            self._weights, self._gradient = self._weights[still], self._gradient[still]
            self._sums = self._sums[:, still]
            self._views()
