"""Recipes: data that JSON can hold, short, honest about their source, and changed without surprises."""

import ast
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.modalities import KINDS
from astrofuse_lab.recipes import schema, starter
from astrofuse_lab.recipes.catalogue import RECIPES, THEMES, get_recipe
from astrofuse_lab.recipes.schema import FIDELITIES, Part, Recipe, Source

FOLDER = Path(starter.__file__).parent
FULL = Recipe(
    "full", "Every field used", {"image": Part.of("conv2d", depth=2), "hst": Part("conv2d")}, Part.of("gated", dropout=0.5), Part.of("classification", hidden=0),
    Part("average"), Part.of("focal", gamma=1.5), Part.of("end_to_end", epochs=3), {"text": Part.of("hashed", words=32)}, 48,
    Source("A paper", 2024, "arXiv:2401.00001", "https://example.org/code"), "follows", ("smaller",), {"auc": 0.9}, ("practice",),
    stack=Part.of("channels", modalities=["g_image", "r_image"]), adapt=(Part("calibrate"),), pretrain=Part.of("masked", epochs=2),
)  # fmt: skip


@pytest.mark.parametrize("recipe", [*RECIPES.values(), FULL], ids=lambda recipe: recipe.name)
def test_json_there_and_back(recipe):
    text = json.dumps(recipe.to_json())
    back = Recipe.from_json(json.loads(text))
    assert back == recipe
    assert json.dumps(back.to_json()) == text
    assert set(recipe.to_json()) == {field.name for field in dataclasses.fields(Recipe)}


def test_json_holds_every_field_of_the_full_recipe():
    data = FULL.to_json()
    empty = [field.name for field in dataclasses.fields(Recipe) if not data[field.name]]
    assert empty == []
    assert data["decision"] == {"name": "average", "options": {}}
    assert data["source"]["identifier"] == "arXiv:2401.00001"


def test_names_are_unique_and_the_catalogue_holds_all_of_them():
    names = [recipe.name for theme in THEMES for recipe in theme.RECIPES]
    assert len(set(names)) == len(names)
    assert list(RECIPES) == names
    assert all(name == recipe.name for name, recipe in RECIPES.items())
    files = {path.stem for path in FOLDER.glob("*.py")} - {"__init__", "schema", "catalogue", "benchmarks", "systems", "taxonomies", "taxonomy"}
    assert files == {theme.__name__.rsplit(".", 1)[1] for theme in THEMES}, "a theme file that the catalogue does not read"


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_a_recipe_is_complete_and_honest(recipe):
    assert recipe.name.isidentifier()
    assert recipe.title.strip()
    assert set(recipe.encoders)
    assert recipe.fidelity in FIDELITIES
    if recipe.fidelity != "own":
        assert recipe.source.title
        assert recipe.source.year > 1900
        assert recipe.source.identifier, "a DOI, arXiv number or address"
    if recipe.reported:
        assert recipe.data, "reported numbers need the data they were reported on"
    assert recipe.fidelity != "reproduces" or recipe.reported


@pytest.mark.parametrize("recipe", starter.RECIPES, ids=lambda recipe: recipe.name)
def test_starter_recipes_take_every_kind(recipe):
    assert set(recipe.encoders) == set(KINDS)


def _recipe_nodes(tree):
    """The elements of RECIPES = (...) and SYSTEMS = (...) in a theme file."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(t, ast.Name) and t.id == "RECIPES" for t in targets):
                yield from node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.__name__)
def test_a_recipe_takes_at_most_twelve_lines(theme):
    nodes = list(_recipe_nodes(ast.parse(Path(theme.__file__).read_text())))
    assert nodes or theme.SYSTEMS
    for node in nodes:
        assert node.end_lineno - node.lineno < 12, f"{theme.__name__}, line {node.lineno}"


def test_recipes_are_read_without_torch():
    code = "import sys, astrofuse_lab.recipes.catalogue; print([m for m in ('torch', 'numpy', 'astropy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_an_encoder_is_found_by_name_before_kind():
    assert FULL.encoder_for("hst", "image") == Part("conv2d")
    assert FULL.encoder_for("sdss", "image") == Part.of("conv2d", depth=2)
    with pytest.raises(InputError, match=r"'full' has no encoder for 'x' \(kind 'spectrum'\); it has image, hst"):
        FULL.encoder_for("x", "spectrum")


def test_change_gives_a_copy_and_leaves_the_recipe_alone():
    changed = RECIPES["late_fusion"].change(fusion=Part("gated"), width=32)
    assert (changed.fusion.name, changed.width) == ("gated", 32)
    assert RECIPES["late_fusion"].fusion.name == "concatenation"
    with pytest.raises(InputError, match=r"a recipe has no field 'fusoin'; it has .*fusion"):
        RECIPES["late_fusion"].change(fusoin=Part("gated"))


def test_a_recipe_cannot_be_altered_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FULL.width = 3
    with pytest.raises(TypeError):
        FULL.encoders["image"] = Part("conv1d")
    with pytest.raises(TypeError):
        FULL.fusion.options["dropout"] = 0.1
    with pytest.raises(TypeError):
        RECIPES["late_fusion"].encoders["image"] = Part("conv1d")


def test_options_are_not_shared_with_what_was_given():
    given = {"depth": 1}
    part = Part("conv2d", given)
    given["depth"] = 9
    assert part.options["depth"] == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FULL.change(fidelity="copies"), "fidelity 'copies' is none of reproduces, follows"),
        (lambda: FULL.change(width=0), "width=0"),
        (lambda: FULL.change(width="wide"), "width='wide'"),
        (lambda: FULL.change(name=""), "name"),
        (lambda: FULL.change(fusion=3), r"fusion=3 is no Part"),
        (lambda: FULL.change(augment=("turn",)), r"augment=\('turn',\) is no sequence of Parts"),
        (lambda: FULL.change(encoders={"image": "conv2d"}), r"encoders\['image'\]='conv2d'.*Part\('conv2d'\)"),
        (lambda: FULL.change(encoders={}), "no encoder"),
        (lambda: Part(""), "name"),
        (lambda: Part.of("conv2d", width=object()), "option width=.*numbers, text, booleans"),
        (lambda: Part.of("conv2d", rate=float("nan")), "option rate=nan"),
        (lambda: Recipe.from_json({**FULL.to_json(), "colour": 1}), "no field 'colour'"),
        (lambda: Recipe.from_json({"name": "x"}), "lacks 'title'"),
        (lambda: Recipe.from_json({**FULL.to_json(), "fusion": {"options": {}}}), "fusion.*'name'"),
        (lambda: Recipe.from_json({**FULL.to_json(), "source": {"author": "x"}}), "source has no field 'author'"),
        (lambda: Recipe.from_json([1]), "a recipe is a mapping"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_recipes_by_name():
    assert get_recipe("late_fusion") is RECIPES["late_fusion"]
    assert get_recipe(FULL) is FULL
    with pytest.raises(UnknownNameError, match=r"no recipe 'late_fussion'\. Did you mean 'late_fusion'"):
        get_recipe("late_fussion")
    with pytest.raises(InputError, match="a recipe is a name or a Recipe, not int"):
        get_recipe(3)


def test_recipes_survive_copies_between_processes():
    import copy
    import pickle

    assert copy.deepcopy(FULL) == FULL
    assert pickle.loads(pickle.dumps(FULL)) == FULL  # written and read here; run folders hold JSON
    assert pickle.loads(pickle.dumps(FULL.fusion)) == FULL.fusion


def test_options_may_be_lists():
    part = Part.of("conv2d", stages=[1, 2, 3])
    recipe = FULL.change(encoders={"image": part})
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    assert schema.Part.of("conv2d", stages=(1, 2, 3)) == part
