"""AstroAlertBench: prompt, schema, parser and scorer on a hand-made file with worked answers; the client over loopback; a run as a contestant."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from answering import Answering

import astrofuse_lab as af
from astrofuse_lab.alert_benchmark import (
    SCHEMA,
    Alert,
    Endpoint,
    alerts_of,
    answer_of,
    messages,
    montage,
    parse,
    run_benchmark,
    sample_set,
    score,
    standard_error,
)
from astrofuse_lab.alert_benchmark.alerts import CLASSES, FIELDS
from astrofuse_lab.alert_benchmark.client import Refusal, Reply, answers_in
from astrofuse_lab.alert_benchmark.contestant import contestant
from astrofuse_lab.alert_benchmark.prompt import INSTRUCTIONS, PATHS, question
from astrofuse_lab.errors import ArchiveError, InputError, StorageError
from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.samples.readers.astroalertbench import leaderboard

ANSWERS = Path(__file__).parent / "data" / "alert_benchmark_answers.jsonl"
GOLD = {"a1": "SN", "a2": "SN", "a3": "AGN", "a4": "AGN", "a5": "VS", "a6": "VS", "a7": "asteroid", "a8": "bogus", "a9": "bogus", "a10": "bogus"}
RECORD = {"fid": 2, "isdiffpos": True, "magpsf": 18.0, "sigmapsf": 0.1, "ndethist": 3, "ncovhist": 100, "sgscore1": None}
ALERTS = [Alert(name, RECORD, gold) for name, gold in GOLD.items()]
GOOD = json.loads(json.loads(ANSWERS.read_text().splitlines()[0])["text"])


# ---- the question -------------------------------------------------------------------------------------------------


def test_the_question_has_all_fields_in_order():
    lines = question(Alert("ZTF17aacriru", {**RECORD, "firstmjd": 58380.469086, "isdiffpos": False})).splitlines()
    assert lines[0] == "Alert ZTF17aacriru" and [line.split(":")[0] for line in lines[1:-1]] == [f"- {name}" for name in FIELDS] and len(FIELDS) == 19
    assert "- fid: 2" in lines and "- isdiffpos: f" in lines and "- sgscore1: -999" in lines and "- firstmjd: 58380.5" in lines
    assert all(name in INSTRUCTIONS for name in FIELDS) and "SN" not in lines  # the gold label is not told


def test_the_montage_is_three_panels():
    from PIL import Image

    stamps = np.zeros((3, 63, 63), np.float32)
    stamps[0, 31, 31], stamps[1, :, :10] = 1000, np.nan
    stamps[2] = np.arange(63)
    picture = np.asarray(Image.open(io.BytesIO(montage(stamps, zoom=2))))
    assert picture.shape == (126, 3 * 126 + 2 * 2, 3)
    assert picture[62:64, 62:64].min() == 255 and (picture[:, 128:140] == [0, 0, 96]).all()
    assert picture[0, 256, 0] < 10 and picture[0, -1, 0] > 245  # the ramp
    said = messages(Alert("x", RECORD, "SN", stamps))
    address = said[1]["content"][0]["image_url"]["url"]
    assert base64.b64decode(address.removeprefix("data:image/png;base64,")) == montage(stamps) and said[0]["role"] == "system"
    assert [part["type"] for part in messages(ALERTS[0])[1]["content"]] == ["text"]


def test_the_schema_takes_good_answers_alone():
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(GOOD, SCHEMA)
    for change in ({"Part A": {}}, {"Part D": {}}, {"Part C": {**GOOD["Part C"], "stage1": "real"}}, {"Part B": {**GOOD["Part B"], "self_score_key_evidence": 6}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**GOOD, **change}, SCHEMA)


# ---- answers ------------------------------------------------------------------------------------------------------


def test_answers_are_found_in_what_models_write():
    text = json.dumps(GOOD)
    for written in (text, f"```json\n{text}\n```", f"Sure! {text} Hope this helps {{}}", f"<think>{{'Part C'}} {{\"a\": 1}}</think>\n{text}", '{"note": 1} ' + text, f"{{ {text}"):
        answer = parse(written)
        assert answer.parsed and answer.final == "SN" and answer.self_scores == (5, 5, 5) and answer.faults == (), written[:40]
    assert parse(GOOD) == parse(text)
    assert parse(json.dumps({f"part_{letter.lower()}": GOOD[f"Part {letter}"] for letter in "ABC"})).final == "SN"


@pytest.mark.parametrize("text", [
    None, 3, "", "{", "[]", "null", '{"a": 1}', '{"Part A": 3}', "{" * 5000, '{"Part C": ' * 3000, "<think>" + json.dumps(GOOD), '{"Part A": {"magpsf": NaN', "\x00\ud800",
])  # fmt: skip
def test_what_cannot_be_read_is_counted_and_never_raises(text):
    answer = parse(text)
    assert not answer.parsed and answer.final is None and answer.faults


@pytest.mark.parametrize("part", [
    {"Part A": {"filter_band": ["r"], "magpsf": "bright", "ndethist": 1e400, "ncovhist": 2.5}}, {"Part B": {"self_score_key_evidence": True}},
    {"Part C": {"stage1": {"a": 1}, "stage2": None, "stage3": 7}}, {"Part C": {"stage1": "real_object", "stage2": "astrophysical"}},
])  # fmt: skip
def test_parts_that_make_no_sense_are_faults(part):
    answer = parse(part)
    assert answer.parsed and answer.final is None and answer.self_scores is None and answer.stages is None and len(answer.faults) >= 10


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_has_its_path(name):
    stages = dict(zip(("stage1", "stage2", "stage3"), PATHS[name], strict=True))
    assert parse({"Part C": stages}).final == name


# ---- scores, worked by hand ---------------------------------------------------------------------------------------


def test_worked_answers():
    """Right: a1, a3, a5, a8, a9 (an artifact, whatever its second stage says). a4 and a10 cannot be read; a6's stages lead nowhere; a9 scores itself with a 7."""
    scores = score(ALERTS, answers_in(ANSWERS))
    assert scores.n == 10 and scores.accuracy == 5 / 10 and scores.error == pytest.approx(np.sqrt(0.25 / 10))
    assert scores.accuracy_read == 5 / 7 and scores.parse_rate == 8 / 10
    assert dict(scores.per_class) == {"SN": 1 / 2, "AGN": 1 / 2, "VS": 1 / 2, "asteroid": 0, "bogus": 2 / 3}
    # a3 says g; a2's sigmapsf is 0.15 off, its magpsf 0.09; a7 has no ndethist
    assert dict(scores.grounding) == {"filter_band": 7 / 8, "subtraction_sign": 1, "magpsf": 1, "sigmapsf": 7 / 8, "ndethist": 7 / 8, "ncovhist": 1}
    assert scores.exact_match == 5 / 8
    # stage 2 of the six real ones: a7 is called astrophysical; stage 3 of five: a2 and a6 are wrong; all three of eight: not a2, a6, a7, a9
    assert dict(scores.cascade) == {"stage1": 1, "stage2": 5 / 6, "stage3": 3 / 5, "all": 4 / 8}
    # supernova: one of two found, one said; AGN: one of one, two said; variable star: one of two, one said
    assert scores.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 2 / 3) / 3)
    assert scores.msrs == pytest.approx((5 + 4 + 4 + 4 + 2 + 5 + 1) / 7)
    # linked: right 5, 4, 4, 1, wrong 4, 5
    assert scores.calibration_gap == pytest.approx(3.5 - 4.5)
    x = np.array([5, 4, 4, 4, 5, 1])
    assert scores.r == pytest.approx((3.5 - 4.5) * np.sqrt(4 * 2) / 6 / x.std())  # point-biserial
    assert dict(scores.malformed) == {
        "no JSON object with Part A, Part B or Part C": 2, "stages that do not fit each other": 1, "Part A: ndethist": 1, "Part B: self_score_alternative_analysis": 1,
    }  # fmt: skip
    assert "accuracy 50.00 +- 15.81 %" in str(scores)


def test_nothing_said_is_nothing_right():
    scores = score(ALERTS, {})
    assert scores.accuracy == 0 and scores.parse_rate == 0 and np.isnan(scores.msrs) and np.isnan(scores.r) and np.isnan(scores.macro_f1)
    with pytest.raises(InputError, match="no alert has a gold label"):
        score([Alert("x", RECORD)], {})
    with pytest.raises(InputError, match="one name"):
        score([ALERTS[0], ALERTS[0]], {})


@pytest.mark.real
def test_the_leaderboards_standard_errors(mirror):
    """Binomial over 1,500 alerts, as printed: to half of the last digit."""
    runs = leaderboard(mirror / "astroalertbench")
    assert len(runs) == 13
    for run in runs:
        assert 100 * standard_error(run["acc_5class_pct"] / 100) == pytest.approx(run["se_pct"], abs=0.0051), run["model"]


@pytest.mark.real
def test_alerts_of_the_sets(mirror):
    few = alerts_of(af.load_samples("astroalertbench", mirror=mirror))
    assert len(few) == 15 and {alert.gold for alert in few} == set(CLASSES) and all(alert.stamps is None and set(alert.fields) == set(FIELDS) for alert in few)
    assert few[0].fields["magpsf"] == pytest.approx(15.802517) and few[0].fields["isdiffpos"] is False
    many = alerts_of(af.load_samples("ztf-alerts", mirror=mirror).take(range(0, 2046, 20)))
    assert 20 < len(many) < 60 and all(alert.stamps.shape == (3, 63, 63) and set(alert.fields) == set(FIELDS) for alert in many)
    assert all(alert.fields["deltajd"] is None or alert.fields["deltajd"] >= 0 for alert in many)


# ---- the client ---------------------------------------------------------------------------------------------------


class Service(Answering):
    """Says what `says` gives for an alert's name; keeps the headers."""

    def __init__(self, says):
        super().__init__()
        self.headers, self.names = [], []

        def answered(asked):
            name = json.loads(asked.body)["messages"][1]["content"][-1]["text"].split()[1]
            self.names.append(name)
            said = says(name)
            if isinstance(said, tuple):
                return said
            return 200, json.dumps({"choices": [{"message": {"role": "assistant", "content": said}}], "usage": {"completion_tokens": 7}}).encode(), "application/json"

        self.routes["/v1/chat/completions"] = answered

    def answer(self, handler):
        self.headers.append(dict(handler.headers))
        super().answer(handler)


@pytest.fixture
def serving(monkeypatch):
    made = []
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")

    def start(says, **more):
        service = Service(says)
        made.append(service)
        return service, Endpoint(f"{service.url}/v1", "a-model", timeout=5.0, **{"retries": 2, "pause": 0.0, **more})

    yield start
    for service in made:
        service.close()


def test_a_service_is_asked_and_scored(serving, tmp_path):
    texts = answers_in(ANSWERS)
    service, endpoint = serving(texts.__getitem__, form="json_schema", settings={"temperature": 0})
    stamps = np.random.default_rng(0).normal(size=(3, 63, 63)).astype(np.float32)
    alerts = [Alert(alert.name, alert.fields, alert.gold, stamps) for alert in ALERTS]
    scores = run_benchmark(alerts, endpoint, tmp_path / "run.jsonl", workers=3)
    assert scores == score(ALERTS, texts) and sorted(service.names) == sorted(GOLD)
    body = json.loads(service.asked[0].body)
    assert body["model"] == "a-model" and body["temperature"] == 0 and body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert body["messages"][1]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert service.headers[0]["Authorization"] == "Bearer sk-secret" and "sk-secret" not in (tmp_path / "run.jsonl").read_text()
    row = json.loads((tmp_path / "run.jsonl").read_text().splitlines()[0])
    assert row["tokens"] == 7 and row["seconds"] >= 0 and row["error"] is None


def test_a_half_done_benchmark_goes_on(serving, tmp_path):
    service, endpoint = serving(answers_in(ANSWERS).__getitem__)
    out = tmp_path / "run.jsonl"
    lines = ANSWERS.read_text().splitlines()
    failed = json.dumps({"name": "a5", "text": None, "error": "down"})
    out.write_text("\n".join([*lines[:4], failed]) + "\n" + lines[5][:50])  # a kill cut the last line off
    scores = run_benchmark(ALERTS, endpoint, out)
    assert sorted(service.names) == sorted(["a5", "a6", "a7", "a8", "a9", "a10"]) and scores.accuracy == 0.5
    service.names.clear()
    assert run_benchmark(ALERTS, endpoint, out) == scores and service.names == []
    (tmp_path / "other.jsonl").write_text("notes\n")
    with pytest.raises(StorageError, match="other lines than a benchmark writes"):
        run_benchmark(ALERTS, endpoint, tmp_path / "other.jsonl")


def test_busy_services_are_asked_again(serving, tmp_path):
    tries = []

    def says(name):
        tries.append(name)
        return (429 if len(tries) == 1 else 503, b'{"error": {"message": "slow down"}}', "application/json") if len(tries) < 3 else json.dumps(GOOD)

    _, endpoint = serving(says)
    assert run_benchmark(ALERTS[:1], endpoint, tmp_path / "run.jsonl").accuracy == 1 and len(tries) == 3


def test_what_fails_is_counted_and_the_rest_goes_on(serving, tmp_path):
    broken = {"a1": (500, b"down", "text/plain"), "a2": (200, b"<html>", "text/html"), "a3": (200, b'{"choices": []}', "application/json"), "a4": (302, b"", "text/plain"), "a6": None}
    _, endpoint = serving(lambda name: broken.get(name, json.dumps(GOOD)))
    said = []
    # the one that is refused (302) comes after an answer
    order = sorted(ALERTS, key=lambda alert: alert.name in broken)
    scores = run_benchmark(order, endpoint, tmp_path / "run.jsonl", show=said.append)
    assert scores.n == 10 and scores.parse_rate == 0.5 and len(said) == 4 and "HTTP 500: down" in " ".join(said)
    rows = {row["name"]: row for row in map(json.loads, (tmp_path / "run.jsonl").read_text().splitlines())}
    assert rows["a6"]["text"] == "" and rows["a2"]["text"] is None and "OpenAI's protocol" in rows["a2"]["error"]


def test_a_refusal_at_the_begin_ends_it_and_tells_no_token(serving, tmp_path):
    service, endpoint = serving(lambda name: (401, b'{"error": {"message": "bad key sk-secret"}}', "application/json"))
    with pytest.raises(Refusal, match=r"HTTP 401: bad key \*\*\*\. Look at the token in OPENAI_API_KEY"):
        run_benchmark(ALERTS, endpoint, tmp_path / "run.jsonl")
    assert len(service.names) <= 2


def test_a_service_that_is_not_there(tmp_path):
    endpoint = Endpoint("http://127.0.0.1:9/v1", "x", retries=1, pause=0.0, timeout=1.0)
    with pytest.raises(ArchiveError, match="cannot be reached"):
        endpoint(ALERTS[0])
    assert run_benchmark(ALERTS, endpoint, tmp_path / "run.jsonl").accuracy == 0


@pytest.mark.parametrize("wrong", [
    {"url": "http://example.org/v1"}, {"url": "ftp://127.0.0.1"}, {"url": "https://me:secret@example.org"}, {"url": "127.0.0.1:8000"}, {"form": "xml"}, {"timeout": 0}, {"retries": -1},
])  # fmt: skip
def test_endpoints_that_cannot_be(wrong):
    with pytest.raises(InputError):
        Endpoint(**{"url": "http://127.0.0.1:1/v1", "model": "x", **wrong})


def test_a_token_is_needed_elsewhere(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InputError, match="export OPENAI_API_KEY="):
        Endpoint("https://api.example.org/v1", "x")(ALERTS[0])


# ---- our own contestant -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alerts():
    """Toy alerts whose class shows in a field and in the middle of the stamps; one in six without stamps, one in five without ndethist."""
    rng, made = np.random.default_rng(0), []
    for i in range(90):
        gold = CLASSES[i % 3]
        stamps = rng.normal(0, 1, (3, 63, 63)).astype(np.float32)
        stamps[i % 3, 28:35, 28:35] += 15
        fields = {"fid": 1 + i % 2, "isdiffpos": True, "magpsf": 17.0 + i % 3, "sigmapsf": 0.1, "ndethist": None if i % 5 == 0 else i, "ncovhist": 50, "deltajd": float(i % 3)}
        made.append(Alert(f"t{i}", fields, gold, None if i % 6 == 0 else stamps))
    return made


def test_a_run_answers_in_the_same_form(alerts, tmp_path):
    jsonschema = pytest.importorskip("jsonschema")
    layers = [["max_pool", 7], ["flatten"], ["dense", 16], ["relu"]]
    recipe = Recipe("toy", "toy", {"image": Part.of("layers", layers=layers), "table": Part("mlp")}, Part("concatenation"), width=16)
    run = af.train(recipe, sample_set(alerts[:60]), "gold", epochs=12)
    said = answer_of(run, alerts[60:])
    for text in said.values():
        jsonschema.validate(json.loads(text), SCHEMA)
        assert parse(text).faults == ()
    scores = score(alerts[60:], said)
    assert scores.parse_rate == 1 and scores.accuracy > 0.6 and scores.grounding["magpsf"] == 1
    assert scores.exact_match == pytest.approx(24 / 30)  # a fifth has no ndethist, which nobody can read
    shares, _ = run.outputs(sample_set(alerts[60:]))
    first = json.loads(said["t60"])
    assert first["Part B"]["self_score_key_evidence"] == round(5 * shares[0].max()) and first["Part C"]["stage3"] == PATHS[str(run.classes[shares[0].argmax()])][2]
    again = run_benchmark(alerts[60:], contestant(run), tmp_path / "run.jsonl")
    assert again.accuracy == pytest.approx(scores.accuracy)


def test_runs_of_other_classes_are_refused(alerts, toy_samples):
    with pytest.raises(InputError, match=r"none of SN, AGN.*sample_set"):
        answer_of(af.train("late_fusion", toy_samples, epochs=1, modalities=["table"]), alerts)
    with pytest.raises(InputError, match="no alert to make a set"):
        sample_set([])
    with pytest.raises(InputError, match="none of SN"):
        Alert("x", {}, "quasar")
    with pytest.raises(InputError, match="'colour'"):
        Alert("x", {"colour": 1})
    with pytest.raises(InputError, match="no column 'fid'"):
        alerts_of(toy_samples)


def test_a_contestant_may_be_any_function(tmp_path):
    scores = run_benchmark(ALERTS, lambda alert: Reply(json.dumps(GOOD), 0.5, 3), tmp_path / "run.jsonl")
    assert scores.accuracy == 2 / 10 and scores.parse_rate == 1 and np.isnan(scores.r)
