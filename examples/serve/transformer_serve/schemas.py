"""Bodies of requests. What a schema doesn't name is refused by name: nothing is quietly left out."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json

from .errors import ApiError, invalid

MAX_STOPS = 16
MAX_BIASES = 1024
MAX_TOP = 20


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


Text = Annotated[str, Field(max_length=1 << 24)]
Token = Annotated[int, Field(ge=0, lt=1 << 31, strict=True)]


class StreamOptions(Body):
    include_usage: bool = False
    include_obfuscation: bool = False  # of OpenAI's own service; sends nothing here


class Sampling(Body):
    """What completions and chats have in common."""

    model: Text
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 64)] | None = None
    stop: Union[Text, list[Text], None] = None
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logit_bias: Annotated[dict[str, Annotated[float, Field(ge=-100, le=100)]],
                          Field(max_length=MAX_BIASES)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    user: Text | None = None
    # These are no part of OpenAI's API; other servers have them by the same names.
    top_k: Annotated[int, Field(ge=0, lt=1 << 31)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None

    @model_validator(mode="after")
    def check_common(self) -> "Sampling":
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is for stream: true")
        for stop in self.stops():
            if not stop:
                raise ValueError("a stop string is empty")
        if len(self.stops()) > MAX_STOPS:
            raise ValueError(f"more than {MAX_STOPS} stop strings")
        for token in self.logit_bias or {}:
            if not (token.isascii() and token.isdigit() and len(token) <= 10):
                raise ValueError(f"logit_bias: '{token[:40]}' is not a token id")
        return self

    def stops(self) -> list[str]:
        if self.stop is None:
            return []
        return [self.stop] if isinstance(self.stop, str) else self.stop

    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class CompletionBody(Sampling):
    prompt: Union[Text, list[Text], list[Token], list[list[Token]]] = Field(union_mode="smart")
    logprobs: Annotated[int, Field(ge=0, le=MAX_TOP)] | None = None
    echo: bool = False
    best_of: int | None = None
    suffix: Text | None = None


class JsonSchema(Body):
    name: Annotated[str, Field(max_length=64)]
    description: Text | None = None
    strict: bool | None = None
    schema_: Union[dict[str, Any], bool, None] = Field(default=None, alias="schema")


class ResponseFormat(Body):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def check_schema(self) -> "ResponseFormat":
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema is given with type json_schema, and only then")
        return self


class Function(Body):
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,64}$")]
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Body):
    type: Literal["function"]
    function: Function


class CalledFunction(Body):
    name: Text
    arguments: Text


class ToolCall(Body):
    id: Text | None = None
    type: Literal["function"] = "function"
    index: int | None = None
    function: CalledFunction


class Part(Body):
    """A part of a message's content: text; images and sound are refused by their type's name."""

    model_config = ConfigDict(extra="allow")
    type: Text
    text: Text | None = None

    @model_validator(mode="after")
    def check_type(self) -> "Part":
        if self.type not in ("text", "refusal"):
            raise ValueError(f"content of type '{self.type[:40]}' is unsupported")
        if self.type == "text" and self.text is None:
            raise ValueError("a part of type text has no text")
        return self


class Message(Body):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Union[Text, list[Part], None] = None
    name: Text | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: Text | None = None
    refusal: Text | None = None
    reasoning_content: Text | None = None
    # What an answer has, which clients send back as they got it.
    annotations: list[Any] | None = None
    audio: None = None
    function_call: None = None

    @model_validator(mode="after")
    def check_content(self) -> "Message":
        if self.content is None and not (self.role == "assistant"):
            raise ValueError(f"a message of role {self.role} has no content")
        return self


class NamedFunction(Body):
    name: Text


class ToolChoice(Body):
    type: Literal["function"]
    function: NamedFunction


class AllowedTools(Body):
    mode: Literal["auto", "required"]
    tools: Annotated[list[ToolChoice], Field(min_length=1, max_length=128)]


class AllowedToolsChoice(Body):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class ChatBody(Sampling):
    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP)] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: Union[Literal["none", "auto", "required"], ToolChoice, AllowedToolsChoice,
                       None] = None
    parallel_tool_calls: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None  # more variables of the template
    # Of OpenAI's own service; they change nothing in an answer.
    store: bool | None = None
    metadata: dict[str, str] | None = None
    service_tier: Text | None = None
    safety_identifier: Text | None = None
    prompt_cache_key: Text | None = None

    @model_validator(mode="after")
    def check_chat(self) -> "ChatBody":
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("max_tokens and max_completion_tokens are one limit: give one")
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs is for logprobs: true")
        if self.tool_choice is not None and not self.tools:
            raise ValueError("tool_choice is for requests with tools")
        return self


class EmbeddingsBody(Body):
    model: Text
    input: Union[Text, list[Text], list[Token], list[list[Token]]] = Field(union_mode="smart")
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: Text | None = None


class RerankBody(Body):
    model: Text
    query: Text
    documents: Annotated[list[Union[Text, dict[str, Text]]], Field(min_length=1)]
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool = False
    user: Text | None = None

    @model_validator(mode="after")
    def check_documents(self) -> "RerankBody":
        for document in self.documents:
            if isinstance(document, dict) and "text" not in document:
                raise ValueError("a document has no text")
        return self

    def texts(self) -> list[str]:
        return [d if isinstance(d, str) else d["text"] for d in self.documents]


def _where(location: tuple[int | str, ...]) -> str:
    """messages[0].content, without the names of the alternatives that pydantic tried."""
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.isidentifier() and step not in ("str", "ToolChoice", "AllowedToolsChoice"):
            text += ("." if text else "") + step
    return text


def parse(kind: type[Any], data: bytes) -> Any:
    """The body as `kind`, or the 400 that tells what is wrong with it."""
    try:
        from_json(data, allow_inf_nan=False)  # nor where a field may be anything
    except ValueError as error:
        raise invalid(f"the body is not JSON: {error}"[:300], code="invalid_json") from None
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        # Of what the alternatives of a union say, the one that got furthest is about what was meant.
        first = max(error.errors(include_url=False, include_input=False),
                    key=lambda one: len(one["loc"]))
        where = _where(first["loc"])
        if first["type"] == "json_invalid":
            raise invalid("the body is not JSON: " + first["msg"], code="invalid_json") from None
        if first["type"] == "extra_forbidden":
            raise invalid(f"unrecognized request argument: {where}", where,
                          "unknown_parameter") from None
        message = first["msg"].removeprefix("Value error, ")
        code = "unsupported" if message.endswith("is unsupported") else None
        raise ApiError(400, f"{where}: {message}" if where else message, param=where or None,
                       code=code) from None
    except (RecursionError, UnicodeError, json.JSONDecodeError, OverflowError):
        raise invalid("the body is not JSON that can be read", code="invalid_json") from None
