"""What JupyterLab shows first in an environment: no question about Jupyter's news, and a folder of one's choice beside the launcher.

    python .ci/first-screen.py PREFIX [ADDRESS]

What the environment's files say otherwise is kept.
"""

import json
import sys
from pathlib import Path

QUIET = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
APPS = {"jupyter_server_config": "ServerApp", "jupyter_lab_config": "LabApp", "jupyter_notebook_config": "JupyterNotebookApp"}
"""Who says where to begin, by the command that was used."""


def merge(file: Path, more: dict[str, dict[str, object]]) -> None:
    """Add settings to a JSON file; those that are there stay."""
    told = json.loads(file.read_text()) if file.exists() else {}
    for name, values in more.items():
        told[name] = {**values, **told.get(name, {})}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(told, indent=1) + "\n")


def main() -> None:
    """Write them."""
    prefix = Path(sys.argv[1])
    merge(prefix / "share/jupyter/lab/settings/overrides.json", QUIET)
    for name, app in APPS.items() if len(sys.argv) > 2 else ():
        merge(prefix / "etc/jupyter" / f"{name}.json", {app: {"default_url": sys.argv[2]}})


if __name__ == "__main__":
    main()
