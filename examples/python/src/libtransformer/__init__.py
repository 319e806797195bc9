"""libtransformer: transformer inference as an embeddable library.

    from libtransformer import Model

    with Model("smollm2.gguf") as model:
        for piece in model.generate("The capital of France is", max_tokens=32):
            print(piece, end="", flush=True)

`Model` is what a file holds; a `Context` computes, `Sequence`s are what it computes; a `Sampler` chooses tokens, a
`TextStream` makes text of them, and a `Generation` does all of it. Objects close themselves when they are forgotten, in
any order; `with` and `close()` do it at once. Failures are exceptions of `Error`, one class for each status.
"""
from __future__ import annotations

import ctypes
from typing import Dict, List

from . import _header as c
from ._library import LIBRARY, call, fields
from .context import Context, Sequence
from .errors import (BufferTooSmallError, BusyError, Cancelled, DeviceError, Error, FormatError, InternalError,
                     InvalidArgumentError, LimitError, NotFoundError, OutOfMemoryError, ReadError, StaleViewError,
                     StateError, UnsupportedError)
from .generation import Generation
from .grammar import Grammar
from .model import Adapter, Model, convert
from .options import (ContextStats, Device, FinishReason, KVType, Load, Logits, LogLevel, LogProbabilities, Match,
                      MemoryEstimate, ModelInfo, Pooling, Reader, SpecialToken, StepResult, WeightType)
from .sampler import Sampler
from .text import TextStream
from .view import View

__version__ = c.VERSION


def build_info() -> Dict[str, str]:
    """What was built into the library and what this machine runs."""
    lines = LIBRARY.transformer_build_info().decode("utf-8", "replace").splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line)


def devices() -> List[Device]:
    """The devices: the CPU, then GPUs that can be used. Looking for them initialises the CUDA driver, where there is
    one: a child forked afterwards can't use its GPUs."""
    found = []
    for index in range(LIBRARY.transformer_device_count()):
        made = c.DeviceDetails()
        call("device_info", index, ctypes.byref(made))
        found.append(Device(index=index, **fields(made)))
    return found


__all__ = [
    "Adapter", "BufferTooSmallError", "BusyError", "Cancelled", "Context", "ContextStats", "Device", "DeviceError", "Error",
    "FinishReason", "FormatError", "Generation", "Grammar", "InternalError", "InvalidArgumentError", "KVType", "LimitError", "Load",
    "LogLevel", "LogProbabilities", "Logits", "Match", "MemoryEstimate", "Model", "ModelInfo", "NotFoundError", "OutOfMemoryError", "Pooling",
    "ReadError", "Reader", "Sampler", "Sequence", "SpecialToken", "StaleViewError", "StateError", "StepResult",
    "TextStream", "UnsupportedError", "View", "WeightType", "build_info", "convert", "devices",
]
