"""What a host with strict types writes: checked by mypy in test_wheel.py, and run there."""
from __future__ import annotations

import asyncio
import sys
from typing import List, Optional

import numpy as np
import numpy.typing as npt

from libtransformer import Context, FinishReason, Generation, KVType, Logits, Model, Sampler, StepResult, TextStream, View


def stream(model: Model) -> str:
    text = ""
    with model.generate("the river holds", max_tokens=16, temperature=0.8, seed=1, logit_bias={3: -1.0}) as generation:
        for piece in generation:
            text += piece
    reason: Optional[FinishReason] = generation.finish_reason
    assert reason is not None
    return text


async def stream_async(model: Model) -> str:
    generation: Generation = model.generate([1, 2, 3], max_tokens=8)
    pieces: List[str] = [piece async for piece in generation]
    return "".join(pieces)


def steps(model: Model) -> npt.NDArray[np.float32]:
    with Context(model, max_sequences=2, kv_type=KVType.F32) as context, TextStream(model) as text:
        sequence = context.sequence(sampler=Sampler(model, top_k=5), stream=1)
        sequence.append(model.tokenize("the"), logits=Logits.ALL)
        result: StepResult = context.decode()
        assert result.n_sampled == 1
        row: View = sequence.logits(0)
        text.push(int(sequence.tokens[-1]))
        copied: npt.NDArray[np.float32] = row.copy()
        return copied


if __name__ == "__main__":
    with Model(sys.argv[1]) as opened:
        print(repr(stream(opened)), repr(asyncio.run(stream_async(opened))), steps(opened).shape)
