"""What /metrics tells, of this server alone: a registry of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from .scheduler import Scheduler

SECONDS = (.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60)


class _Schedulers(Collector):
    """The schedulers' counts, taken when they are asked for."""

    def __init__(self) -> None:
        self.schedulers: list[Scheduler] = []

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        gauges = {
            "running": "requests that have sequences",
            "waiting": "requests that wait for room",
            "sequences": "sequences alive",
            "pages": "pages of the KV cache",
            "pages_free": "pages that nobody uses",
            "overcommit": "times the cache's pages that are promised at once",
        }
        counters = {
            "steps": "decode steps",
            "step_seconds": "time in decode steps",
            "prompt_tokens": "tokens of prompts",
            "generated_tokens": "tokens that were sampled",
            "cancelled": "requests whose client went away",
            "preempted": "times that a sequence lost its pages, to be computed again",
        }
        for names, family in ((gauges, GaugeMetricFamily), (counters, CounterMetricFamily)):
            for name, text in names.items():
                made = family(f"transformer_{name}", text, labels=["model"])
                for scheduler in self.schedulers:
                    made.add_metric([scheduler.engine.name], getattr(scheduler.snapshot, name))
                yield made
        for scheduler in self.schedulers:  # the library's own counts
            for name, value in scheduler.snapshot.library.items():
                made = GaugeMetricFamily(f"transformer_library_{name}", name, labels=["model"])
                made.add_metric([scheduler.engine.name], value)
                yield made


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._collector = _Schedulers()
        self.registry.register(self._collector)
        self.requests = Counter("transformer_requests", "requests by route and status",
                                ["route", "status"], registry=self.registry)
        self.request_seconds = Histogram("transformer_request_seconds", "from the request to its last byte",
                                         ["route"], buckets=SECONDS, registry=self.registry)
        self.first_token_seconds = Histogram(
            "transformer_first_token_seconds", "from the request to its first piece of text",
            ["model"], buckets=SECONDS, registry=self.registry)
        self.step = Histogram("transformer_step_duration_seconds", "of a decode step", ["model"],
                              buckets=SECONDS, registry=self.registry)

    def add(self, scheduler: Scheduler) -> None:
        self._collector.schedulers.append(scheduler)
