"""What the texts of a set are about: topics found in its training part, and how much of each is in every text."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split
from astrofuse_lab.samples.texts import texts_of

if TYPE_CHECKING:
    from astropy.table import Table

WAYS = ("nmf", "lda")
MOST_WORDS, FEWEST_TEXTS = 5_000, 5
WORD = r"(?u)\b[^\W\d_][\w-]{2,}\b"


class Topics(NamedTuple):
    """Topics of texts.

    Attributes
    ----------
    samples : SampleSet
        With the columns ``topic_0`` ...: shares of each text, adding up to one; missing where there is no text or no known word. They are no inputs.
    words : Table
        One row a topic: ``topic``, ``words`` (the foremost, with their weights in ``weights``), ``share`` (mean over the training texts).
    """

    samples: SampleSet
    words: "Table"


def topics(
    samples: SampleSet, fit: Split | Iterable[str] | None = None, *, n: int = 8, how: str = "nmf", modality: str = "text", top: int = 8, seed: int = 0,
) -> Topics:  # fmt: skip
    """Find topics by factorising word counts, weighted by how rare a word is (scikit-learn).

    Parameters
    ----------
    samples : SampleSet
    fit : Split or iterable of ids, optional
        Of a Split only the training part is read to find words and topics; every text is then given its shares. None: all texts.
    n : int
        Topics.
    how : {"nmf", "lda"}
        Non-negative matrix factorisation (Lee & Seung 1999, Nature 401, 788) of tf-idf, or latent Dirichlet allocation (Blei, Ng & Jordan 2003, JMLR 3, 993) of counts.
    modality : str
    top : int
        Words named per topic.
    seed : int

    Returns
    -------
    Topics

    Raises
    ------
    InputError
        If there are fewer than five texts to learn from, too few words, or an option is none.

    Notes
    -----
    Strip label words first (`samples.texts.without_label_words`), or a topic is the label.
    """
    if how not in WAYS or isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 2 or top < 1:
        raise InputError(f"topics: how={how!r}, n={n!r}, top={top!r}; how is one of {', '.join(WAYS)}, n is 2 or more, top 1 or more.")
    texts = texts_of(samples, modality)
    ids = fit.train if isinstance(fit, Split) else fit
    looked = np.arange(len(samples)) if ids is None else samples.positions(ids)
    learn = [texts[i] for i in looked if texts[i].strip()]
    if len(learn) < FEWEST_TEXTS:
        raise InputError(f"topics: {len(learn)} texts to learn from, at least {FEWEST_TEXTS} are needed.")
    shares, words, weights = _factorised(learn, texts, int(n), how, seed)
    whole = shares.sum(axis=1, keepdims=True)
    shares = np.where(whole > 0, shares / np.where(whole > 0, whole, 1), np.nan)
    data = {name: samples.data_of(name) for name, spec in samples.modalities.items() if spec.kind != "table"}
    made = samples.with_data(data, columns={f"topic_{k}": (shares[:, k], "") for k in range(shares.shape[1])})
    return Topics(made, _table(words, weights, shares[looked], top))


def _factorised(learn: list[str], texts: list[str], n: int, how: str, seed: int) -> "tuple[np.ndarray[tuple[int, int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.str_]], np.ndarray[tuple[int, int], np.dtype[np.float64]]]":
    """Shares of topics in each text, (text, topic), the words, and their weights, (topic, word); only `learn` is fitted."""
    import warnings

    from sklearn.decomposition import NMF, LatentDirichletAllocation
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    counted = TfidfVectorizer if how == "nmf" else CountVectorizer
    count = counted(token_pattern=WORD, stop_words="english", max_features=MOST_WORDS, min_df=2, max_df=0.95 if len(learn) > 20 else 1.0)
    try:
        matrix = count.fit_transform(learn)
    except ValueError as error:  # scikit-learn's "empty vocabulary", "no terms remain"
        raise InputError(f"topics: the texts have no words in common to learn from ({error}).") from error
    if matrix.shape[1] < n:
        raise InputError(f"topics: n={n}, but the texts share {matrix.shape[1]} words only. Ask for fewer topics.")
    model = NMF(n, init="nndsvda", random_state=seed, max_iter=400) if how == "nmf" else LatentDirichletAllocation(n, random_state=seed, max_iter=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(matrix)
        every = count.transform(texts)
        shares = np.asarray(model.transform(every), dtype=np.float64)
    shares[np.asarray(every.sum(axis=1)).ravel() == 0] = 0.0
    return shares, np.asarray(count.get_feature_names_out(), dtype=str), np.asarray(model.components_, dtype=np.float64)


def _table(words: "np.ndarray[tuple[int], np.dtype[np.str_]]", weights: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", shares: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", top: int) -> "Table":
    from astropy.table import Table

    order = np.argsort(-weights, axis=1, kind="stable")[:, :top]
    share = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-30)
    known = shares[np.isfinite(shares).all(axis=1)]
    table = Table({
        "topic": [f"topic_{k}" for k in range(len(weights))], "words": [", ".join(words[row]) for row in order],
        "weights": np.take_along_axis(share, order, axis=1), "share": known.mean(axis=0) if len(known) else np.full(len(weights), np.nan),
    })  # fmt: skip
    table["share"].format = table["weights"].format = ".3f"
    return table
