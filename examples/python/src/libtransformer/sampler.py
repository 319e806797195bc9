"""Samplers: from logits to a token."""
from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any, Mapping, Optional

from . import _header as c
from . import errors
from ._handle import Handle
from ._library import LIBRARY, call, create, integer, struct

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .context import Sequence
    from .model import Model
    from .options import SamplingOptions


def _biases(logit_bias: Optional[Mapping[int, float]]) -> Any:
    biases = list((logit_bias or {}).items())
    made = (c.LogitBias * len(biases))()
    for entry, (token, bias) in zip(made, biases):
        entry.token, entry.bias = integer("logit_bias token", token), bias
    return made


class Sampler(Handle):
    """Chooses tokens of a model.

    The random number for a position is a function of the seed, the sequence's stream and the position alone: the same
    whatever else the batch, the threads or the sampler did.
    """

    def __init__(self, model: Model, **options: Unpack[SamplingOptions]) -> None:
        """seed                0 is a seed like any other
        logit_bias          token: what is added to its logit; -inf forbids it
        penalty_window      the last tokens of the sequence that the penalties look at; 0: all
        repetition_penalty  > 0: a positive logit of a seen token is divided by it, a negative one multiplied
        frequency_penalty   subtracted once for each time the token was seen
        presence_penalty    subtracted once if the token was seen
        temperature         0: the highest logit; the filters below don't matter then
        top_k, top_p, min_p filters, in this order
        """
        values = dict(options)
        biases = _biases(values.pop("logit_bias", None))  # type: ignore[arg-type]
        for name, value in values.items():
            if isinstance(value, float) and math.isnan(value):
                raise errors.InvalidArgumentError(f"{name} is not a number")
        made = struct(c.SamplerOptions, n_logit_bias=len(biases), **values)
        made.logit_bias = ctypes.cast(biases, ctypes.POINTER(c.LogitBias)) if len(biases) else None
        with model._pointer as address:
            self._begin(model, create("sampler_create", address, ctypes.byref(made)))

    def _begin(self, model: Model, address: int) -> None:
        self.model = model
        self._hold("sampler", address, LIBRARY.transformer_sampler_destroy, model._pointer)

    def clone(self) -> Sampler:
        """A second sampler of the same options."""
        other = Sampler.__new__(Sampler)
        with self._pointer as address:
            other._begin(self.model, create("sampler_clone", address))
        return other

    def sample(self, sequence: Sequence, *, append: bool = False) -> int:
        """The token after the sequence's last one, whose logits the last decode must have computed.

        append  queues it there too.
        """
        token, options = ctypes.c_int32(), c.SampleOptions(append=c.ON if append else c.OFF)
        with self._pointer as address, sequence._pointer as sequence_address:
            call("sampler_sample", address, sequence_address, ctypes.byref(options), ctypes.byref(token))
        return token.value
