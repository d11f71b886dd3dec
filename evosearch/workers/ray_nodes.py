"""A question to every node of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from evosearch.workers.ray_session import join

__all__ = ["ask_nodes"]

_PATIENCE: Final = 120.0
"""Seconds that a node may take to answer; its first process has to import torch."""


def ask_nodes(address: str, question: Callable[[], Any]) -> Iterator[tuple[str, Any, str]]:
    """Call a function on each node that lives, and leave the cluster again.

    Args:
        address: The cluster's head, ``host:port``.
        question: What to call, known on the nodes by its module and name.

    Yields:
        A node's address, its answer or None, and why there is none or "".

    Raises:
        ClusterError: The cluster does not answer, or refuses us.
    """
    session = join(address, {})
    try:
        import ray
        from ray.exceptions import RayError
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        remote: Any = ray.remote(num_cpus=0, max_retries=0)(question)
        asked = {}
        for node in ray.nodes():
            if node["Alive"]:
                pinned = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                reference = remote.options(scheduling_strategy=pinned).remote()
                asked[reference] = node["NodeManagerAddress"]
        ray.wait(list(asked), num_returns=len(asked), timeout=_PATIENCE)
        for reference, place in asked.items():
            try:
                yield place, ray.get(reference, timeout=0.1), ""
            except RayError as error:
                lines = [line for line in str(error).splitlines() if line.strip()]
                yield place, None, lines[-1].strip() if lines else type(error).__name__
    finally:
        session.close()
