"""The shell command ``astrofuse``: the parts of the door that make sense without a notebook."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="astrofuse", description="Fetch, align, fuse and explain multimodal astronomical data.")
    parser.add_argument("--version", action="store_true", help="print the version and end")
    sub = parser.add_subparsers(dest="command", metavar="COMMAND")

    demo = sub.add_parser("demo", help="the whole path once on the practice sky: comparison table, run folder, HTML explorer")
    demo.add_argument("--out", type=Path, default=Path("out/demo"), help="folder to write to (default: out/demo)")
    demo.add_argument("-n", type=int, default=480, help="objects (default: 480)")
    demo.add_argument("--recipe", default="joint_attention", help="one of af.list_recipes() (default: joint_attention)")
    demo.add_argument("--seeds", type=int, default=1, help="trainings behind each row of the table (default: 1)")

    samples = sub.add_parser("samples", help="list the sample sets, or describe one")
    samples.add_argument("name", nargs="?", help="name of a set, or a sample-set folder")

    for name, text in (("train", "train a recipe and save the run"), ("compare", "fused beside each modality alone, trees and chance")):
        command = sub.add_parser(name, help=text)
        command.add_argument("recipe", help="e.g. joint_attention or late_fusion; af.list_recipes() lists them")
        command.add_argument("samples", help="name of a set, or a sample-set folder")
        command.add_argument("--target", default="label", help="column to predict (default: label)")
        command.add_argument("--modalities", nargs="+", metavar="NAME", help="e.g. image table (default: all there are)")
        command.add_argument("--epochs", type=int, help="passes over the training part (default: the recipe's)")
        command.add_argument("--test", type=float, default=0.2, help="share of the groups kept for testing (default: 0.2)")
        if name == "train":
            command.add_argument("--seed", type=int, default=0, help="of weights and order (default: 0)")
            command.add_argument("--out", type=Path, required=True, help="run folder; the same command resumes a stopped run")
        else:
            command.add_argument("--seeds", type=int, default=3, help="trainings behind each row of the table (default: 3)")

    explore = sub.add_parser("explore", help="write a self-contained HTML explorer of a run")
    explore.add_argument("run", type=Path, help="run folder")
    explore.add_argument("samples", help="name of a set, or a sample-set folder")
    explore.add_argument("--html", type=Path, required=True, help="page to write; it opens in any browser, without a network")
    explore.add_argument("--all", action="store_true", help="all samples, not the test part alone")

    systems = sub.add_parser("systems", help="the published systems: status, reported and measured numbers")
    systems.add_argument("key", nargs="?", help="one of them, in full")

    _watch_parser(sub)
    sub.add_parser("doctor", help="versions, device, memory, cache, mirror, front end: what is wrong and what to do")
    return parser


def _watch_parser(sub: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    watch = sub.add_parser("watch", help="score alert packets as they arrive in a folder")
    watch.add_argument("folder", type=Path, help="where packets arrive: .avro, .avro.gz or .parquet")
    watch.add_argument("--run", required=True, help="run folder, or original:KEY for published weights, e.g. original:braai")
    watch.add_argument("--out", type=Path, help="scores, .jsonl or .csv (default: FOLDER/scores.jsonl); the same command goes on from it")
    watch.add_argument("--once", action="store_true", help="end when all that is there is scored")
    watch.add_argument("--batch", type=int, default=64, help="packets scored at once (default: 64)")
    watch.add_argument("--settle", type=float, default=0.5, help="seconds a file must be unchanged before it is read (default: 0.5)")
    watch.add_argument("--patience", type=float, default=10.0, help="seconds an unreadable file must be unchanged before it is set aside (default: 10)")
    watch.add_argument("--broker", help="bring packets from a broker too, e.g. alerce/image")
    watch.add_argument("--objects", nargs="+", metavar="NAME", default=[], help="objects that the broker is asked for, e.g. ZTF19abguqsi")
    watch.add_argument("--every", type=float, default=600.0, help="seconds between questions to the broker (default: 600)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; errors of ours are one line, without a traceback."""
    from astrofuse_lab.errors import AstroFuseError

    parser = _parser()
    args = parser.parse_args(arguments)
    if args.version or not args.command:
        print(_version()) if args.version else parser.print_help()
        return 0 if args.version else 2
    try:
        return int(COMMANDS[args.command](args) or 0)
    except AstroFuseError as error:
        print(f"astrofuse: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("astrofuse: stopped; what was fetched and trained is kept, the same command goes on from there.", file=sys.stderr)
        return 130


def _version() -> str:
    import astrofuse_lab as af

    return f"astrofuse-lab {af.__version__}"


def _samples(name: str):  # type: ignore[no-untyped-def]
    """A set by name, or a folder: what has a slash in it can only be one."""
    import astrofuse_lab as af

    return af.SampleSet.open(name) if Path(name).is_dir() or len(Path(name).parts) > 1 else af.load_samples(name)


def _show(table: object) -> None:
    print("\n".join(table.pformat(max_lines=-1, max_width=-1)))  # type: ignore[attr-defined]


def _demo(args: argparse.Namespace) -> None:
    from astrofuse_lab.demo import demo

    demo(args.out, n=args.n, recipe=args.recipe, seeds=args.seeds)


def _list(args: argparse.Namespace) -> None:
    import astrofuse_lab as af

    if not args.name:
        _show(af.list_samples())
        return
    samples = _samples(args.name)
    print(samples)
    _show(samples.describe())
    _show(samples.coverage())
    for note in samples.card.notes:
        print(f"note: {note}")


def _train(args: argparse.Namespace) -> None:
    import astrofuse_lab as af

    samples = _samples(args.samples)
    split = samples.split(test=args.test)
    run = af.train(args.recipe, samples, args.target, args.modalities, split, seed=args.seed, epochs=args.epochs, out=args.out)
    _show(run.metrics)
    print(f"run folder: {run.path}")


def _compare(args: argparse.Namespace) -> None:
    import astrofuse_lab as af

    samples = _samples(args.samples)
    table = af.compare(args.recipe, samples, args.target, args.modalities, args.seeds, split=samples.split(test=args.test), epochs=args.epochs)
    _show(table)
    print(table.meta["verdict"])


def _explore(args: argparse.Namespace) -> None:
    import astrofuse_lab as af

    run, samples = af.Run.open(args.run), _samples(args.samples)
    if run.split and run.split.test and not args.all:
        samples = samples.select(run.split.test)
    print(af.workbench(run, samples).save(args.html))


def _systems(args: argparse.Namespace) -> None:
    import astrofuse_lab as af
    from astrofuse_lab.recipes.systems import get_system

    rows = af.list_systems()
    if not args.key:
        for row in rows:
            print(f"{row['key']} ({row['fidelity']}; {row['status']}): {row['title']}\n    reported  {row['reported']}\n    measured  {row['measured']}")
        return
    one = get_system(args.key)
    row = rows[list(rows["key"]).index(one.key)]
    for name in rows.colnames:
        print(f"{name}: {row[name]}")
    for number in one.measured.get("numbers", ()):
        print(f"    {number['name']}: {number['value']:g}" + (f" ({number['low']:g} to {number['high']:g})" if None not in (number["low"], number["high"]) else ""))


def _watch(args: argparse.Namespace) -> None:
    import astrofuse_lab as af
    from astrofuse_lab.errors import InputError
    from astrofuse_lab.watching import feed, watch

    kind, _, key = args.run.partition(":")
    run = af.Run.original(key) if kind == "original" and key else af.Run.open(Path(args.run))
    if bool(args.broker) != bool(args.objects):
        raise InputError("a broker is asked for objects: --broker alerce/image --objects ZTF19abguqsi")
    feeder = None
    if args.broker:
        targets = af.Targets(af.Target(name, identifier=name) for name in args.objects)
        feeder = feed(af.surveys.get(args.broker), targets, args.folder, print, args.every)
    print(f"watching {args.folder} with {run}; Ctrl-C ends")
    print(watch(
        run, args.folder, args.out, once=args.once, feeder=feeder, show=lambda line: print(line, flush=True), name=args.run if kind == "original" else "", batch=args.batch,
        settle=args.settle, patience=args.patience,
    ))  # fmt: skip


def _doctor(args: argparse.Namespace) -> int:
    import astrofuse_lab as af

    table = af.doctor()
    _show(table)
    print(table.meta["summary"])
    return int("problem" in list(table["state"]))


COMMANDS = {"demo": _demo, "samples": _list, "train": _train, "compare": _compare, "explore": _explore, "systems": _systems, "watch": _watch, "doctor": _doctor}


if __name__ == "__main__":
    sys.exit(main())
