"""The workbench as an app: ``panel serve astrofuse_lab/widgets/app.py``, or with folders ``--args SAMPLES RUN``.

Each visitor has a workbench of their own; nothing that one does is seen by another, and none may read or write folders of the
server. With ``ASTROFUSE_SESSIONS=/a/folder`` what a visitor does is kept there under a name that cannot be guessed, and the
address with ``?session=<name>`` brings it back; without it nothing is kept.
"""

import sys

import panel as pn

from astrofuse_lab import memory
from astrofuse_lab.widgets.visits import PAGE, visit

memory.give_back()
pn.extension(raw_css=[PAGE])
bench = visit(sys.argv[1:3])
bench.servable(title="AstroFuse Lab")
