"""The server on many machines: a Ray Serve application of one ingress and replicas of the whole server.

    serve run ray_app:build model=/models/smollm2.gguf max_replicas=4

A replica is what `transformer-serve` is, in a process of its own and alone on its node, so that a node loads the model
once. The ingress passes requests on, in OpenAI's form as they came. A conversation goes to the replica that has it: the
one that comes first for the conversation's key by rendezvous hashing, which every ingress computes alike without
asking anybody, and which moves only the conversations of replicas that come or go. One that is full is passed over.

A replica that dies takes what it was answering with it. Where nothing of an answer was sent, the ingress asks another
one: answers are functions of their requests. A stream that was under way ends with an error event.
"""

from __future__ import annotations

from typing import Any

from ray import serve
from ray.serve.config import RequestRouterConfig

from transformer_serve.on_ray import Arguments, ConversationRouter, Ingress, Replica


def build(arguments: Arguments) -> Any:
    given = arguments.model_dump()
    replica = serve.deployment(
        name="Replica", max_ongoing_requests=arguments.max_ongoing,
        max_queued_requests=arguments.max_queued,
        ray_actor_options={"num_cpus": arguments.cpus, "num_gpus": arguments.gpus},
        max_replicas_per_node=arguments.replicas_per_node,
        autoscaling_config={
            "min_replicas": arguments.min_replicas, "max_replicas": arguments.max_replicas,
            "target_ongoing_requests": arguments.target_ongoing,
            "upscale_delay_s": arguments.upscale_delay,
            "downscale_delay_s": arguments.downscale_delay, "look_back_period_s": arguments.look_back},
        # A replica that goes is asked no more, and ends once it has answered.
        graceful_shutdown_timeout_s=arguments.drain_timeout, graceful_shutdown_wait_loop_s=0.5,
        health_check_period_s=5, health_check_timeout_s=30,
        request_router_config=RequestRouterConfig(request_router_class=ConversationRouter),
    )(Replica).bind(given)
    return serve.deployment(
        name="Ingress", max_ongoing_requests=arguments.max_queued + 1000,
        ray_actor_options={"num_cpus": 0}, graceful_shutdown_timeout_s=arguments.drain_timeout,
        graceful_shutdown_wait_loop_s=0.5)(Ingress).bind(replica, given)
