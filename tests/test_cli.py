"""The shell command: twins of the door, errors in one line."""

import subprocess
import sys

import pytest

from astrofuse_lab import cli


def test_every_command_has_help(capsys):
    for command in cli.COMMANDS:
        with pytest.raises(SystemExit) as stop:
            cli.main([command, "--help"])
        assert stop.value.code == 0
        assert command in capsys.readouterr().out


def test_unknown_set_is_one_line(capsys):
    assert cli.main(["samples", "ztf-alertz"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("astrofuse: ") and "'ztf-alerts'" in error and "Traceback" not in error


def test_samples_lists_and_describes(toy_samples, tmp_path, capsys):
    assert cli.main(["samples"]) == 0
    assert "practice" in capsys.readouterr().out
    toy_samples.save(tmp_path / "toy")
    assert cli.main(["samples", str(tmp_path / "toy")]) == 0
    out = capsys.readouterr().out
    assert "60 objects" in out and "spectrum" in out


def test_train_and_explore(toy_samples, tmp_path, capsys):
    toy_samples.save(tmp_path / "toy")
    assert cli.main(["train", "late_fusion", str(tmp_path / "toy"), "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    assert "run folder" in capsys.readouterr().out
    assert cli.main(["explore", str(tmp_path / "run"), str(tmp_path / "toy"), "--html", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text().lstrip().lower().startswith("<!doctype html")


def test_doctor_runs_as_a_command():
    done = subprocess.run([sys.executable, "-m", "astrofuse_lab.cli", "doctor"], capture_output=True, text=True, check=False)
    assert "python" in done.stdout and done.returncode in (0, 1), done.stderr


def test_alone_it_shows_what_there_is(capsys):
    assert cli.main([]) == 2
    shown = capsys.readouterr().out
    assert all(command in shown for command in cli.COMMANDS)
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("astrofuse-lab 0")


def test_every_option_is_explained():
    for command in cli._parser()._subparsers._group_actions[0].choices.values():
        assert all(action.help for action in command._actions), command.prog


def test_a_path_is_taken_for_a_folder(tmp_path, capsys):
    assert cli.main(["samples", str(tmp_path / "nowhere")]) == 1
    assert "no such folder" in capsys.readouterr().err


def test_a_demo_of_an_unknown_recipe_does_no_work(tmp_path, capsys):
    assert cli.main(["demo", "--recipe", "cross_atention", "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr()
    assert "'joint_attention'" in told.err and told.out == "" and not (tmp_path / "out").exists()
