"""The workbench as an app: ``panel serve astrofuse_lab/widgets/app.py``, or with folders ``--args SAMPLES RUN``."""

import sys

import panel as pn

import astrofuse_lab as af

pn.extension()
folders = sys.argv[1:3]
samples = af.SampleSet.open(folders[0]) if folders else None
run = af.Run.open(folders[1]) if len(folders) > 1 else None
bench = af.workbench(run, samples)
bench.servable(title="AstroFuse Lab")
pn.state.on_session_destroyed(lambda _context: bench.close())
