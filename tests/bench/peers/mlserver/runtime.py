"""Latencies of NAS-Bench-201 from a NumPy table of A that PEER_TABLE names, in the Open Inference Protocol with
the tensors of dgld's model `nasbench201`."""

import os

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse

N_GENES = 6
N_CHOICES = 5


class Table(MLModel):
    async def load(self) -> bool:
        self.table = np.load(os.environ["PEER_TABLE"])
        self.places = N_CHOICES ** np.arange(N_GENES)[::-1]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        inputs = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        if set(inputs) != {"architecture", "hardware"}:
            raise InferenceError("the inputs are architecture and hardware")
        genes, hardware = inputs["architecture"], inputs["hardware"]
        if genes.ndim != 2 or genes.shape[1] != N_GENES or genes.min() < 1 or genes.max() > N_CHOICES:
            raise InferenceError("architecture must be [N, 6], genes from 1 to 5")
        if hardware.shape != (4,) or not (hardware > 0).all():
            raise InferenceError("hardware must be [4], positive")
        frequency, dispatch, cache, bandwidth = hardware
        factor = (1 / dispatch + 1 / (cache**0.5 * bandwidth)) / frequency
        latency_ms = (self.table[(genes - 1) @ self.places] * factor).astype(np.float32)
        return InferenceResponse(
            model_name=self.name, model_version="1", outputs=[NumpyCodec.encode_output("latency_ms", latency_ms)]
        )
