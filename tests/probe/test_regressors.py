"""Regressors of one's own: fitted on standardised known rows, cloned, seeded, and named when they fail."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR, LinearSVC

from urbanln.base.errors import InputError
from urbanln.probe.columns import column_scale
from urbanln.probe.heads import find_head
from urbanln.probe.held_out import held_out
from urbanln.probe.own_head import load_head, own_head
from urbanln.probe.splits import random_split


def make(n: int = 120):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(n, 3)) * [1, 50, 1e-3] + 9).astype(np.float32)
    return X, X[:, 0] + 0.1 * rng.normal(size=n), random_split(rng.random((n, 2)))[0]


class Broken(RegressorMixin, BaseEstimator):
    def __init__(self, how: str = "raise") -> None:
        self.how = how

    def fit(self, X, y):
        if self.how == "raise":
            raise ZeroDivisionError("a pole\nand a second line")
        return self

    def predict(self, X):
        return np.full(len(X), np.nan) if self.how == "nan" else np.zeros(len(X) + 1)


class NeedsArguments(RegressorMixin, BaseEstimator):
    def __init__(self, strength) -> None:
        self.strength = strength


def test_it_is_fitted_on_standardised_known_rows_and_left_alone() -> None:
    X, y, fold = make()
    given = SVR(C=3.0)
    wide = X.astype(np.float64)  # scikit-learn 1.7 loses digits when it standardises fp32
    scaled = StandardScaler().fit(wide[fold.known]).transform(wide).astype(np.float32)
    expected = SVR(C=3.0).fit(scaled[fold.known], y[fold.known]).predict(scaled[fold.test])
    np.testing.assert_allclose(own_head(given)(X, y, fold, 0), expected, atol=1e-5)
    assert not hasattr(given, "support_")


@pytest.mark.parametrize(
    "forest", [RandomForestRegressor(10), make_pipeline(StandardScaler(), RandomForestRegressor(10))]
)
def test_the_seed_is_put_in_where_none_is_set(forest) -> None:
    X, y, fold = make()
    head = own_head(forest)
    np.testing.assert_array_equal(head(X, y, fold, 0), head(X, y, fold, 0))
    assert not np.array_equal(head(X, y, fold, 0), head(X, y, fold, 1))
    own = own_head(RandomForestRegressor(10, random_state=5))
    np.testing.assert_array_equal(own(X, y, fold, 0), own(X, y, fold, 1))


def test_a_class_and_a_text_are_the_same_as_the_estimator() -> None:
    X, y, fold = make()
    made, of_class = own_head(Ridge()), own_head(Ridge)
    named = load_head("sklearn.linear_model:Ridge")
    np.testing.assert_array_equal(made(X, y, fold, 0), of_class(X, y, fold, 0))
    np.testing.assert_array_equal(made(X, y, fold, 0), named(X, y, fold, 0))


@pytest.mark.parametrize(
    ("how", "message"),
    [("raise", "ZeroDivisionError: a pole"), ("nan", "not finite"), ("long", "finite numbers")],
)
def test_one_that_fails_is_named(how: str, message: str) -> None:
    X, y, fold = make()
    with pytest.raises(InputError, match=message) as caught:
        held_out(Broken(how), X, y, [fold], 0)
    assert "Broken" in str(caught.value)
    assert "second line" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no_such_module:Ridge", "cannot be imported"),
        ("sklearn.linear_model:NoSuchClass", "no such class"),
        ("sklearn.linear_model:", "no such class"),
        (":Ridge", "cannot be imported"),
        (".heads:Ridge", "cannot be imported"),
        ("json:dumps", "no scikit-learn regressor"),
        ("sklearn.linear_model:LogisticRegression", "no scikit-learn regressor"),
    ],
)
def test_texts_that_name_no_regressor(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_head(text)


def test_objects_that_are_no_regressor() -> None:
    for bad in (LogisticRegression(), int, 3):
        with pytest.raises(InputError, match="no scikit-learn regressor"):
            own_head(bad)
    with pytest.raises(InputError, match="without arguments"):
        own_head(NeedsArguments)


def test_classes_want_a_classifier_and_shares_a_regressor_of_each() -> None:
    """A classifier's probabilities stand at the classes it has seen; one that fails is named."""
    X, y, fold = make()
    classes = np.digitize(y, [8.5, 9.5])
    one_hot = np.eye(4)[classes]  # a fourth that no row has
    made = own_head(LogisticRegression(), kind="classes")(X, one_hot, fold)
    scale = column_scale(X, fold.known)
    seen, new = (scale.rows(X, rows) for rows in (fold.known, fold.test))
    expected = LogisticRegression().fit(seen, classes[fold.known]).predict_proba(new)
    np.testing.assert_allclose(made[:, :3], expected)
    assert not made[:, 3].any()
    alone = own_head(LogisticRegression(), kind="classes")(X, np.eye(2)[np.zeros(len(y), dtype=int)], fold)
    assert (alone[:, 0] == 1).all()
    shares = np.abs(np.column_stack([y, X[:, 0]]))
    shares /= shares.sum(axis=1, keepdims=True)
    parts = own_head(Ridge(), kind="shares")(X, shares, fold)
    np.testing.assert_array_equal(parts[:, 1], own_head(Ridge())(X, shares[:, 1], fold))


def test_a_regressor_is_refused_for_classes_and_a_classifier_without_probabilities() -> None:
    for bad in (Ridge(), LinearSVC, "sklearn.svm:SVR"):
        with pytest.raises(InputError, match="no scikit-learn classifier") as caught:
            find_head(bad, "classes")
        assert "classes" in str(caught.value.remedy)
    with pytest.raises(InputError, match="no scikit-learn regressor"):
        find_head(LogisticRegression(), "shares")
