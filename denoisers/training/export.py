"""A finished run becomes a weight file: float16 tensors under ``weights/`` and the facts for the catalogue.

``python -m denoisers.training.export RUN METHOD.TAG`` prints the catalogue entry to complete by hand.
"""

import hashlib
import json
import sys
from pathlib import Path

from ..weights import FOLDER


def export(run, full_name: str) -> str:
    """Write ``weights/<full_name>.safetensors`` from a run folder; returns the entry's measured lines, TOML."""
    from safetensors.torch import load_file, save

    run = Path(run)
    tensors = {k: v.half().contiguous() for k, v in load_file(run / "average.safetensors").items()}
    data = save(tensors)
    (FOLDER / f"{full_name}.safetensors").write_bytes(data)
    last = json.loads((run / "events.jsonl").read_text().splitlines()[-1])
    return "\n".join(
        [
            f"[{full_name}]",
            f'file = "{full_name}.safetensors"',
            f'sha256 = "{hashlib.sha256(data).hexdigest()}"',
            f"parameters = {sum(v.numel() for v in tensors.values())}",
            f"steps = {last['step']}",
            f"megapixels = {last['megapixels']}",
            f"minutes = {last['seconds'] / 60:.0f}",
        ]
    )


if __name__ == "__main__":
    print(export(*sys.argv[1:]))
