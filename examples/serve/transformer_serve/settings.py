"""What the server is told at its start: the command line and the environment."""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib

POOLINGS = ("default", "none", "mean", "first", "last")


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """One model: one context, one thread that drives it."""

    name: str
    path: str
    device: int = 0
    threads: int = 0  # 0: one for each processor
    max_sequence_tokens: int = 0  # 0: what the library takes
    kv_tokens: int = 0  # 0: four of the longest sequences
    max_running: int = 64  # sequences alive at once
    max_step_tokens: int = 256  # rows of a step: longer prompts take several, beside the others
    lookup_tokens: int = 0  # proposals by prompt lookup in each step
    overcommit: int = 4  # times the cache's pages that may be promised to answers at once; 1: none
    pooling: str = "default"
    chat_template: str | None = None  # text, instead of the model's own


@dataclasses.dataclass(frozen=True)
class Settings:
    models: tuple[ModelSettings, ...]
    host: str = "127.0.0.1"
    port: int = 8000
    api_keys: tuple[str, ...] = ()
    max_body_bytes: int = 4 << 20
    max_waiting: int = 256  # requests that wait for their turn; one more is answered 429
    max_answers: int = 16  # n of a request
    max_inputs: int = 2048  # texts of an embeddings request, documents of a rerank request
    max_tokens: int = 0  # of an answer; 0: as many as the model's context has room for
    default_max_tokens: int = 1024  # of a chat answer whose request names no limit
    send_timeout: float = 60.0  # seconds that a reader may take nothing
    drain_timeout: float = 600.0  # seconds for what runs at SIGTERM
    log_requests: bool = False


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        self.exit(2, f"{self.prog}: {message}\n")


def _count(lowest: int):
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) >= lowest):
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of {lowest} or more")
        return int(text)

    return parse


def read_keys(path: str | None, environment: str | None) -> tuple[str, ...]:
    """Keys of a file, one on a line, and of TRANSFORMER_API_KEYS, with commas between them."""
    keys: list[str] = []
    if path:
        lines = pathlib.Path(path).read_text().splitlines()
        keys += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not keys:
            raise ValueError(f"{path} has no key in it")
    if environment:
        keys += [key.strip() for key in environment.split(",") if key.strip()]
    return tuple(keys)


def _model(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if equals and name and "/" not in name:
        return name, path
    file = pathlib.Path(text)
    return (file.stem if file.suffix == ".gguf" else file.name), text


def read(arguments: list[str] | None = None) -> Settings:
    """Ends the process with a line on stderr where the command line is wrong."""
    default, model = Settings(models=()), ModelSettings("", "")
    parser = _Parser(prog="transformer-serve", description="Serves models over HTTP.",
                     allow_abbrev=False)
    add = parser.add_argument
    add("--model", action="append", required=True, type=_model, metavar="[NAME=]PATH",
        help="a GGUF file or a Hugging Face folder; may be given several times")
    add("--host", default=default.host, help="the address to listen on; 0.0.0.0: all of the machine's")
    add("--port", type=_count(0), default=default.port, help="to listen on; 0: any that is free")
    add("--log-requests", action="store_true",
        help="a line on stderr for each request: id, route, status, seconds; no texts, no keys")
    add("--api-key-file", help="one key on a line; without keys, everybody may ask")
    add("--chat-template", help="a file, instead of the models' own templates")
    add("--pooling", choices=POOLINGS, default="default", help="how embeddings are made")
    for name, lowest, value, text in (
        ("threads", 0, model.threads, "0: one for each processor"),
        ("device", 0, model.device, "0 is the CPU"),
        ("max-sequence-tokens", 0, 0, "prompt and answer; 0: the model's, at most 4,096"),
        ("kv-tokens", 0, 0, "of the KV cache; 0: four of the longest sequences"),
        ("max-running", 2, model.max_running, "sequences alive at once"),
        ("max-step-tokens", 1, model.max_step_tokens, "tokens computed by a step"),
        ("lookup-tokens", 0, 0, "proposed by prompt lookup in a step"),
        ("overcommit", 1, model.overcommit,
         "times the KV cache that answers may be promised at once, at their longest; 1: only what is there"),
        ("max-waiting", 0, default.max_waiting, "requests that wait; one more gets 429"),
        ("max-body-bytes", 1, default.max_body_bytes, "of a request"),
        ("max-answers", 1, default.max_answers, "n of a request"),
        ("max-inputs", 1, default.max_inputs, "texts of one embeddings or rerank request"),
        ("max-tokens", 0, default.max_tokens, "of an answer; 0: what the context has room for"),
        ("default-max-tokens", 1, default.default_max_tokens, "where a chat names no limit"),
        ("send-timeout", 1, int(default.send_timeout), "seconds a reader may take nothing"),
        ("drain-timeout", 1, int(default.drain_timeout), "seconds for what runs at SIGTERM"),
    ):
        add("--" + name, type=_count(lowest), default=value, help=text)
    given = parser.parse_args(arguments)
    try:
        keys = read_keys(given.api_key_file, os.environ.get("TRANSFORMER_API_KEYS"))
        template = pathlib.Path(given.chat_template).read_text() if given.chat_template else None
    except (OSError, ValueError) as error:
        parser.error(str(error))
    names = [name for name, _ in given.model]
    if len(set(names)) != len(names):
        parser.error("two models have one name; say --model NAME=PATH")
    models = tuple(
        ModelSettings(name, path, given.device, given.threads, given.max_sequence_tokens,
                      given.kv_tokens, given.max_running, given.max_step_tokens,
                      given.lookup_tokens, given.overcommit, given.pooling, template)
        for name, path in given.model)
    return Settings(models, given.host, given.port, keys, given.max_body_bytes, given.max_waiting,
                    given.max_answers, given.max_inputs, given.max_tokens,
                    given.default_max_tokens, given.send_timeout, given.drain_timeout,
                    given.log_requests)
