"""AstroAlertBench (Chen et al. 2026, arXiv:2605.05573): vision-language models as classifiers of alerts, and how they are scored.

A model is shown science, reference and difference stamps and 19 fields of a ZTF alert, and answers in JSON: what it read (Part A), why, with scores of its own (Part B), and
what the alert is in three stages (Part C). `alerts` makes the alerts, `prompt` the question, `answers` reads what comes back, `scores` scores it, `client` asks any
service that speaks OpenAI's protocol, and `contestant` lets a trained run answer in the same form.

The gold label of the published benchmark is the top class of ALeRCE's stamp classifier, another network, and no spectrum: a score is agreement with that network.
"""

from astrofuse_lab.alert_benchmark.alerts import CLASSES, Alert, alerts_of, sample_set
from astrofuse_lab.alert_benchmark.answers import Answer, parse
from astrofuse_lab.alert_benchmark.client import Endpoint, run_benchmark
from astrofuse_lab.alert_benchmark.contestant import answer_of
from astrofuse_lab.alert_benchmark.prompt import SCHEMA, messages, montage
from astrofuse_lab.alert_benchmark.scores import Scores, score, standard_error

__all__ = ["CLASSES", "SCHEMA", "Alert", "Answer", "Endpoint", "Scores", "alerts_of", "answer_of", "messages", "montage", "parse", "run_benchmark", "sample_set", "score", "standard_error"]
