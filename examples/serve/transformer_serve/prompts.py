"""From bodies of requests to work for the scheduler. Runs in worker threads: texts may be long."""

from __future__ import annotations

import dataclasses
import json
import secrets
from typing import Any

from . import tool_forms
from .engine import Engine, EngineError
from .errors import ApiError, invalid, unsupported
from .schemas import ChatBody, CompletionBody, Message, Sampling, Tool, ToolChoice
from .settings import Settings
from .tool_forms import Plan
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


def _compiled(engine: Engine, language: str, text: str, param: str) -> tuple[str, str]:
    try:
        engine.grammar(language, text)
    except EngineError as error:
        raise http_error(error, param) from None
    return language, text


def _response_schema(body: ChatBody) -> str | None:
    form = body.response_format
    if form is None or form.type == "text":
        return None
    schema = form.json_schema.schema_ if form.json_schema is not None else None
    return _SCHEMA_OF_OBJECTS if schema is None else json.dumps(schema)


def _argument_schemas(tools: list[Tool], chosen: list[str]) -> dict[str, str]:
    """Of the functions that may be called."""
    schemas = {}
    for number, tool in enumerate(tools):
        if tool.function.name in chosen:
            try:
                schemas[tool.function.name] = tool_forms.arguments_schema(tool.function.parameters)
            except ValueError as error:
                param = f"tools[{number}].function.parameters"
                raise invalid(f"{param}: {error}", param) from None
    return schemas


def _loosened(engine: Engine, tools: list[Tool], schemas: dict[str, str]) -> dict[str, str]:
    """Where the library doesn't take a function's schema any object will do, as OpenAI's API has it;
    not for one that is strict: that is refused."""
    out = dict(schemas)
    for number, tool in enumerate(tools):
        name, param = tool.function.name, f"tools[{number}].function.parameters"
        if name not in schemas:
            continue
        try:
            engine.check_grammar("json_schema", schemas[name])
        except EngineError as error:
            if tool.function.strict or not error.is_unsupported:
                raise http_error(error, param) from None
            out[name] = _SCHEMA_OF_OBJECTS
    return out


@dataclasses.dataclass(frozen=True)
class _Forcing:
    """What tools and response_format make of a request."""

    plan: Plan | None = None
    grammar: tuple[str, str] | None = None
    trigger: tool_forms.Trigger | None = None
    prompt: str = ""


def _forcing(engine: Engine, body: ChatBody) -> _Forcing:
    schema, tools = _response_schema(body), body.tools or []
    names, mode = _callable(body)
    if not names:
        if schema is None:
            return _Forcing()
        return _Forcing(grammar=_compiled(engine, "json_schema", schema, "response_format"))
    one_call = body.parallel_tool_calls is False
    strict = any(tool.function.strict for tool in tools if tool.function.name in names)
    if mode == "auto" and schema is None and not strict:
        return _Forcing(Plan("free", tuple(names), one_call))
    if schema is not None:  # says what is wrong with it
        _compiled(engine, "json_schema", schema, "response_format")
    schemas = _argument_schemas(tools, names)
    try:
        return _constrained(engine, schemas, mode, one_call, schema)
    except EngineError:
        try:
            return _constrained(engine, _loosened(engine, tools, schemas), mode, one_call, schema)
        except EngineError as error:
            raise http_error(error, "tools") from None


def _constrained(engine: Engine, schemas: dict[str, str], mode: str, one_call: bool,
                 schema: str | None) -> _Forcing:
    """Answers that a grammar makes calls, all or from a mark on."""
    names, form = tuple(schemas), engine.call_form
    if mode == "required":
        calls = tool_forms.forced(form, schemas, not one_call)
        grammar = ("ebnf", calls.grammar())
        engine.grammar(*grammar)
        return _Forcing(Plan("forced", names, one_call, calls), grammar, None, calls.prompt)
    if schema is not None:
        calls = tool_forms.either(form, schemas, not one_call)
        grammar = ("ebnf", calls.grammar(calls.form.before, schema))
        engine.grammar(*grammar)
        return _Forcing(Plan("either", names, one_call, calls), grammar)
    trigger = tool_forms.trigger(form, schemas, not one_call)
    if trigger is None:
        raise unsupported("strict functions with tool_choice auto, in the form in which this model "
                          "calls functions; tool_choice required can have them", "tools")
    engine.grammar("ebnf", trigger.grammar(""))
    return _Forcing(Plan("free", names, one_call, None, trigger), None, trigger)


def _callable(body: ChatBody) -> tuple[list[str], str]:
    """The functions that may be called, and whether one must be: "auto" or "required"."""
    tools, choice = body.tools or [], body.tool_choice
    names = [tool.function.name for tool in tools]
    if len(set(names)) != len(names):
        raise invalid("two functions have one name", "tools")
    if choice is None or isinstance(choice, str):
        return ([], "auto") if choice == "none" else (names, choice or "auto")
    if isinstance(choice, ToolChoice):
        wanted, mode = [choice.function.name], "required"
    else:
        wanted = [entry.function.name for entry in choice.allowed_tools.tools]
        mode = choice.allowed_tools.mode
    for name in wanted:
        if name not in names:
            raise invalid(f"tool_choice: there is no function '{name[:64]}' among the tools",
                          "tool_choice")
    return [name for name in names if name in wanted], mode


def _tell(engine: Engine, messages: list[dict[str, Any]],
          tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages for a template that says nothing of tools: they are told first, and calls are text."""
    out: list[dict[str, Any]] = []
    for message in messages:
        calls = message.pop("tool_calls", None) or []
        written = [json.dumps({"name": call["function"]["name"],
                               "arguments": call["function"]["arguments"]}, ensure_ascii=False)
                   for call in calls]
        out.append({**message, "content": "\n".join([message["content"]] * bool(message["content"])
                                                    + written)})
    first = out[0] if out[0]["role"] == "system" or not engine.knows_role("system") else None
    if first is None:
        return [{"role": "system", "content": tool_forms.told(tools)}, *out]
    first["content"] = "\n\n".join([tool_forms.told(tools)] + [first["content"]] * bool(first["content"]))
    return out


def chat(engine: Engine, settings: Settings, body: ChatBody) -> tuple[Generation, Plan | None]:
    _needs_logits(engine)
    if not engine.has_chat_template:
        raise invalid(f"the model '{engine.name}' has no chat template", "model")
    forcing = _forcing(engine, body)
    tools = None
    messages = [_message(engine, message) for message in body.messages]
    if forcing.plan is not None:
        tools = [tool.model_dump(exclude_none=True, exclude={"function": {"strict"}})
                 for tool in body.tools or []]
        if not engine.tells_tools:
            messages, tools = _tell(engine, messages, tools), None
    try:
        text = engine.chat_prompt(messages, tools, body.chat_template_kwargs) + forcing.prompt
        prompt = engine.tokenize(text, add_special=False, parse_special=True)
    except EngineError as error:
        raise http_error(error, "messages") from None
    limit = body.max_completion_tokens or body.max_tokens
    if forcing.grammar is not None and limit == 1:
        raise invalid("no text that was asked for fits one token", "max_tokens")
    work = _generation(engine, settings, body, prompt, limit, settings.default_max_tokens,
                       "messages", with_special=forcing.plan is not None, grammar=forcing.grammar,
                       trigger=forcing.trigger,
                       n_top=(body.top_logprobs or 0) if body.logprobs else None)
    if forcing.plan is not None and forcing.plan.kind == "forced":
        work = dataclasses.replace(work, stop=())  # of text: a call has none
    return work, forcing.plan


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
