"""The process that reads one HDF5 file for `hdf5_files`, started anew each time. It knows nothing of the rest of the package.

Input: the file. Argument: JSON of ``paths`` and ``most``. Output: a line of JSON, then the values. What cannot be read ends it with status 3 and words.
"""

import io
import json
import math
import sys
from typing import Any

LARGEST_CHUNK = 64 * 1024**2  # bytes
MEMORY = 4 * 1024**3
MOST_WORDS = 64


def dataset(file: Any, path: str) -> Any:
    """A dataset by its path, checked to lie in this file: links, storage and virtual data elsewhere are refused."""
    import h5py

    place = file
    for part in path.split("/"):
        if not isinstance(place.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{path!r} is not in the file itself")
        place = place[part]
    if not isinstance(place, h5py.Dataset):
        raise ValueError(f"{path!r} is no dataset")
    if place.is_virtual or place.external:
        raise ValueError(f"{path!r} lies in another file")
    if place.chunks and math.prod(place.chunks) * place.dtype.itemsize > LARGEST_CHUNK:
        raise ValueError(f"{path!r} has chunks of {place.chunks} values")
    return place


def plain(value: Any) -> Any:
    """An attribute as JSON has it; None for what is neither text nor few numbers."""
    import numpy as np

    value = np.asarray(value)
    if value.dtype.kind not in "iufbSU" or value.size > MOST_WORDS:
        text = value.item() if value.size == 1 else None
        return text if isinstance(text, str) else text.decode("utf-8", "replace") if isinstance(text, bytes) else None
    made = [one.decode("utf-8", "replace") if isinstance(one, bytes) else one for one in value.ravel().tolist()]
    return made if value.ndim else made[0]


def main() -> None:
    """Read what is asked for, and write it."""
    import h5py
    import numpy as np

    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):
        pass  # Windows, or a lower limit already: the sizes are checked below as well
    wanted = json.loads(sys.argv[1])
    heads, bodies = [], []
    with h5py.File(io.BytesIO(sys.stdin.buffer.read()), "r") as file:
        for path in wanted["paths"]:
            found = dataset(file, path)
            if found.ndim > 1 or found.dtype.kind not in "iuf" or found.dtype.itemsize > 8 or found.size > wanted["most"]:
                raise ValueError(f"{path!r} has {found.size} values in {found.ndim} dimensions, of {found.dtype}")
            values = np.asarray(found[()]).ravel()
            values = values.astype(values.dtype.newbyteorder("<"))
            heads.append({"path": path, "kind": values.dtype.str, "size": values.size, "attributes": {str(k): plain(v) for k, v in found.attrs.items()}})
            bodies.append(values.tobytes())
    sys.stdout.buffer.write(json.dumps(heads).encode() + b"\n" + b"".join(bodies))


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # the library raises whatever a damaged file leads it to
        sys.stderr.write(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        sys.exit(3)
