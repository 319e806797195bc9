"""From bodies of requests to work for the scheduler. Runs in worker threads: texts may be long."""

from __future__ import annotations

import json
import secrets
from typing import Any

from .engine import Engine, EngineError
from .errors import ApiError, invalid, unsupported
from .schemas import ChatBody, CompletionBody, Message, Sampling
from .settings import Settings
from .work import Generation, Run, SamplerValues, Vectors

_SCHEMA_OF_OBJECTS = '{"type":"object"}'


def http_error(error: EngineError, param: str | None = None) -> ApiError:
    code = "unsupported" if error.is_unsupported else None
    return ApiError(error.http_status, str(error), param=param, code=code)


def _needs_logits(engine: Engine) -> None:
    if not engine.has_logits:
        raise invalid(f"the model '{engine.name}' generates no text", "model")


def _sampler(engine: Engine, body: Sampling) -> SamplerValues:
    biases = tuple(sorted((int(token), bias) for token, bias in (body.logit_bias or {}).items()))
    for token, _ in biases:
        if token >= engine.n_vocab:
            raise invalid(f"logit_bias: the model has no token {token}", "logit_bias")
    seed = secrets.randbits(63) if body.seed is None else body.seed % (1 << 64)
    return SamplerValues(
        seed=seed, temperature=1.0 if body.temperature is None else body.temperature,
        top_k=body.top_k or 0, top_p=0.0 if body.top_p in (None, 1) else body.top_p or 0.0,
        min_p=body.min_p or 0.0, repetition_penalty=body.repetition_penalty or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        presence_penalty=body.presence_penalty or 0.0, logit_bias=biases)


def _generation(engine: Engine, settings: Settings, body: Sampling, prompt: list[int],
                max_tokens: int | None, default: int, param: str, **more: Any) -> Generation:
    if not prompt:
        raise invalid("the prompt has no tokens", param)
    room = engine.max_sequence_tokens - len(prompt)
    asked = max_tokens or 1
    if room < asked:
        raise invalid(
            f"This model's maximum context length is {engine.max_sequence_tokens} tokens; the "
            f"request has {len(prompt)} in the prompt and asks for {asked} in the answer.",
            param, "context_length_exceeded")
    if settings.max_tokens and (max_tokens or 0) > settings.max_tokens:
        raise invalid(f"max_tokens is over {settings.max_tokens}", "max_tokens")
    n = body.n or 1
    if n > settings.max_answers or n + (n > 1) > engine.max_running:
        raise invalid(f"n is over {min(settings.max_answers, engine.max_running - 1)}", "n")
    limit = min(max_tokens or default, room, settings.max_tokens or room)
    stops = body.stops()
    if any("\0" in stop for stop in stops):
        raise unsupported("a stop string with a NUL in it", "stop")
    work = Generation(prompt=prompt, max_tokens=limit, sampler=_sampler(engine, body), n=n,
                      stop=tuple(stops), **more)
    if engine.pages_of(work) > engine.n_pages:
        raise invalid(f"the request needs room for {n} answers of {limit} tokens, more than the "
                      "server has; ask for a smaller max_tokens or n", "max_tokens")
    return work


def completions(engine: Engine, settings: Settings, body: CompletionBody) -> list[Generation]:
    """One for each prompt of the request."""
    _needs_logits(engine)
    if body.suffix:
        raise unsupported("suffix", "suffix")
    if body.echo:
        raise unsupported("echo", "echo")
    if body.best_of is not None and body.best_of != (body.n or 1):
        raise unsupported("best_of other than n", "best_of")
    prompts = [_tokens(engine, prompt, "prompt") for prompt in _texts(body.prompt)]
    if not prompts:
        raise invalid("prompt is an empty list", "prompt")
    if len(prompts) > settings.max_answers:
        raise invalid(f"more than {settings.max_answers} prompts", "prompt")
    return [_generation(engine, settings, body, prompt, body.max_tokens, 16, "prompt",
                        n_top=body.logprobs) for prompt in prompts]


def _texts(given: Any) -> list[Any]:
    """A text, a list of them, tokens or a list of lists of them: as a list of texts and tokens."""
    if isinstance(given, str) or (given and isinstance(given[0], int)):
        return [given]
    return list(given)


def _tokens(engine: Engine, given: str | list[int], param: str) -> list[int]:
    if isinstance(given, str):
        try:
            return engine.tokenize(given)
        except EngineError as error:
            raise http_error(error, param) from None
    for token in given:
        if token >= engine.n_vocab:
            raise invalid(f"{param}: the model has no token {token}", param)
    return given


def _message(engine: Engine, message: Message) -> dict[str, Any]:
    """As templates want it: content is a text, arguments of calls are objects."""
    out = message.model_dump(exclude_none=True,
                             exclude={"annotations", "audio", "function_call", "refusal"})
    if message.role == "developer" and not engine.knows_role("developer"):
        out["role"] = "system"
    if isinstance(message.content, list):
        out["content"] = "".join(part.text or "" for part in message.content)
    out.setdefault("content", message.refusal or "")
    for call in out.get("tool_calls") or []:
        call.pop("index", None)
        try:
            arguments = json.loads(call["function"]["arguments"] or "{}")
        except (ValueError, RecursionError):
            continue
        if isinstance(arguments, dict):
            call["function"]["arguments"] = arguments
    return out


def _json_schema(engine: Engine, body: ChatBody) -> str | None:
    form = body.response_format
    if form is None or form.type == "text":
        return None
    if form.json_schema is None:
        return _SCHEMA_OF_OBJECTS
    schema = form.json_schema.schema_
    text = _SCHEMA_OF_OBJECTS if schema is None else json.dumps(schema)
    try:
        engine.grammar(text)
    except EngineError as error:
        raise http_error(error, "response_format") from None
    return text


def chat(engine: Engine, settings: Settings, body: ChatBody) -> Generation:
    _needs_logits(engine)
    if body.tool_choice is not None and body.tool_choice not in ("none", "auto"):
        raise unsupported("tool_choice that forces a call", "tool_choice")
    tools = None
    if body.tools and body.tool_choice != "none":
        tools = [tool.model_dump(exclude_none=True) for tool in body.tools]
    if tools and body.response_format and body.response_format.type != "text":
        raise unsupported("tools together with response_format", "response_format")
    schema = _json_schema(engine, body)
    messages = [_message(engine, message) for message in body.messages]
    if not engine.has_chat_template:
        raise invalid(f"the model '{engine.name}' has no chat template", "model")
    try:
        text = engine.chat_prompt(messages, tools, body.chat_template_kwargs)
        prompt = engine.tokenize(text, add_special=False, parse_special=True)
    except EngineError as error:
        raise http_error(error, "messages") from None
    limit = body.max_completion_tokens or body.max_tokens
    if schema is not None and limit == 1:
        raise invalid("no text of a response_format fits one token", "max_tokens")
    return _generation(engine, settings, body, prompt, limit, settings.default_max_tokens,
                       "messages", with_special=tools is not None, json_schema=schema,
                       n_top=(body.top_logprobs or 0) if body.logprobs else None)


def _whole(engine: Engine, runs: tuple[Run, ...], param: str) -> tuple[Run, ...]:
    n_tokens = sum(len(tokens) for tokens, _ in runs)
    if n_tokens == 0:
        raise invalid(f"{param} has no tokens", param)
    if n_tokens > engine.max_sequence_tokens or n_tokens > engine.n_pages * engine.page_tokens:
        raise invalid(f"{param} has {n_tokens} tokens, the model takes "
                      f"{engine.max_sequence_tokens}", param, "context_length_exceeded")
    return runs


def embeddings(engine: Engine, settings: Settings, given: Any) -> Vectors:
    if not engine.pools:
        raise invalid(f"the model '{engine.name}' gives no embeddings; a server that is started "
                      "with --pooling makes them", "model", "unsupported")
    texts = _texts(given)
    if not texts or any(len(text) == 0 for text in texts):
        raise invalid("input is empty", "input")
    if len(texts) > settings.max_inputs:
        raise invalid(f"more than {settings.max_inputs} inputs", "input")
    return Vectors(tuple(_whole(engine, ((_tokens(engine, text, "input"), 0),), f"input[{i}]")
                         for i, text in enumerate(texts)), scores=False)


def rerank(engine: Engine, settings: Settings, query: str, documents: list[str]) -> Vectors:
    if engine.n_labels != 1:
        raise invalid(f"the model '{engine.name}' does not score pairs of texts with one number",
                      "model", "unsupported")
    if len(documents) > settings.max_inputs:
        raise invalid(f"more than {settings.max_inputs} documents", "documents")
    try:
        return Vectors(tuple(_whole(engine, engine.tokenize_pair(query, text), f"documents[{i}]")
                             for i, text in enumerate(documents)), scores=True)
    except EngineError as error:
        raise http_error(error, "documents") from None
