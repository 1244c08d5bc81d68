"""What both FastAPI servers share: the request and the reply of dgld's POST /v1/predict for one device and
NAS-Bench-201 in the short notation, and the method's formula of a device."""

from typing import Annotated, Literal

import numpy as np
import orjson
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

N_GENES = 6
N_CHOICES = 5

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Question(BaseModel):
    model_config = ConfigDict(extra="forbid")

    search_space: Literal["nasbench201"]
    hardware: tuple[Positive, Positive, Positive, Positive]  # F (GHz), D, C (MB), M (GB/s)
    architectures: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^[1-5]{6}$")]], Field(min_length=1, max_length=100_000)
    ]
    model: Literal["mlp"] | None = None


def genes_of(question):
    """(n, 6), each 1 to 5."""
    digits = np.frombuffer("".join(question.architectures).encode("ascii"), np.uint8)
    return digits.reshape(-1, N_GENES) - ord("0")


def device_factor(hardware):
    """Milliseconds per unit of A."""
    frequency, dispatch, cache, bandwidth = hardware
    return (1 / dispatch + 1 / (cache**0.5 * bandwidth)) / frequency


def reply(predictor, latency_ms):
    body = {
        "search_space": "nasbench201",
        "model": {"version": predictor, "predictor": predictor},
        "conditions": {"input": "1x3x224x224", "batch": 1},
        "latency_ms": latency_ms,
    }
    return Response(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")
