"""Fail when CUDA packages were pulled in on a machine without a GPU."""

import importlib.metadata
import shutil
import subprocess
import sys

cuda = sorted({d.metadata["Name"] for d in importlib.metadata.distributions() if (d.metadata["Name"] or "").lower().startswith("nvidia-")})
has_gpu = bool(shutil.which("nvidia-smi")) and subprocess.run(["nvidia-smi", "-L"], capture_output=True, check=False).returncode == 0
if cuda and not has_gpu:
    sys.exit(f"CUDA packages on a machine without a GPU: {', '.join(cuda[:5])}. Remove .venv and run make again; .ci/install-torch picks the CPU build.")
