"""A finished run becomes a weight file: float16 tensors under ``weights/`` and the facts for the catalogue.

``python -m denoisers.training.export RUN`` writes METHOD.TAG.safetensors and prints the catalogue entry; what a run
cannot know (training data, its terms, the licence, the processor) is added by hand.
"""

import hashlib
import json
import sys
from pathlib import Path

from ..weights import FOLDER
from .recipe import parse


def export(run) -> str:
    """Write ``weights/<name>.safetensors`` from a run folder; returns the catalogue entry, TOML."""
    from safetensors.torch import load_file, save

    run = Path(run)
    recipe = parse(json.loads((run / "recipe.json").read_text()))
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    end = [e for e in events if e["event"] == "end"][-1]
    scored = [e for e in events if e["event"] == "validation"]
    tensors = {k: (v.half() if v.is_floating_point() else v) for k, v in load_file(run / "average.safetensors").items()}
    data = save({k: v.contiguous() for k, v in tensors.items()})
    (FOLDER / f"{recipe.name}.safetensors").write_bytes(data)
    arguments = {k: v for k, v in recipe.network.items() if k != "architecture"}
    facts = {
        "file": f"{recipe.name}.safetensors",
        "sha256": hashlib.sha256(data).hexdigest(),
        "parameters": next(e["parameters"] for e in events if e["event"] == "start"),
        "architecture": recipe.network["architecture"],
        "arguments": arguments,
        "recipe": f"denoisers/training/recipes/{recipe.name}.toml",
        "noise": recipe.title,
        "steps": end["step"],
        "megapixels": end["megapixels"],
        "minutes": round(end["seconds"] / 60),
        "device": ", then ".join(dict.fromkeys(e["device"] for e in events if e["event"] == "start")),
        "optimiser": {"adamw": "AdamW", "muon": "Muon"}[recipe.optimiser.name],
        "date": end["date"],
        "storage": f"float16; averaged weights (EMA {recipe.optimiser.ema})",
    }
    if recipe.start:
        facts["start"] = recipe.start
    if scored and "psnr" in scored[-1]:
        facts["validation"] = f"{scored[-1]['psnr']} dB on held-back scenes"
    return "\n".join([f"[{recipe.name}]", *(f"{name} = {toml(value)}" for name, value in facts.items())])


def toml(value) -> str:
    """A value as TOML writes it: JSON, but for tables."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }" if value else "{}"
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    print(export(sys.argv[1]))
