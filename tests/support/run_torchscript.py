"""Runs TorchScript files as PyTorch has them: INPUT FILE... , by a Python that has PyTorch (/usr/bin/python3
with Debian's python3-torch). INPUT are float32 images. Prints, for each file, what was seen as JSON lines."""

import io
import json
import sys

import numpy
import torch
from torch.jit.mobile import _load_for_lite_interpreter

FACTS = ("producer", "version", "space", "genes", "notation", "seed")

images = torch.from_numpy(numpy.fromfile(sys.argv[1], dtype=numpy.float32).reshape(-1, 3, 224, 224))
for file in sys.argv[2:]:
    extra = dict.fromkeys(FACTS, "")
    network = torch.jit.load(file, _extra_files=extra)
    lite = _load_for_lite_interpreter(io.BytesIO(network._save_to_buffer_for_lite_interpreter()))
    network._save_for_lite_interpreter(file + "l")
    with torch.no_grad():
        logits = network(images)
        singly = torch.cat([network(image[None]) for image in images])
        on_phone = lite(images)
    seen = {
        "logits": logits.tolist(),
        "singly": float((singly - logits).abs().max()),
        "on_phone": float((on_phone - logits).abs().max()),
        "training": network.training,
        "parameters": [name for name, _ in network.named_parameters()],
        "shapes": {name: list(value.shape) for name, value in network.state_dict().items()},
        "n_trained": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "extra": {key: value.decode() if isinstance(value, bytes) else value for key, value in extra.items()},
    }
    print(json.dumps(seen))
