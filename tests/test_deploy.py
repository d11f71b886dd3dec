"""The files that launch a search: as Ray and KubeRay ask for them, with options that we have."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
import yaml

from evosearch.cli.main import app

DEPLOY = Path(__file__).parents[1] / "deploy"
CRD = "EVOSEARCH_KUBERAY_CRD"
"""The environment variable with the file ``ray.io_rayjobs.yaml`` of a KubeRay release."""


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def pinned() -> str:
    """Return the version of Ray that this repository is tried with."""
    text = (DEPLOY.parent / "constraints.txt").read_text(encoding="utf-8")
    found = re.search(r"^ray==(\S+)", text, re.MULTILINE)
    assert found
    return found[1]


def test_what_ray_up_reads_is_of_rays_own_schema() -> None:
    import ray

    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    cluster = read("ray-up.yaml")
    jsonschema.validate(cluster, json.loads(schema.read_text(encoding="utf-8")))
    assert cluster["head_node_type"] in cluster["available_node_types"]
    assert any(f"ray[default]=={pinned()}" in line for line in cluster["setup_commands"])


def closed(schema: Any) -> Any:
    """Return a schema in which an object has the properties that it names, and no others."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {key: closed(value) for key, value in schema.items()}
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        shut.setdefault("additionalProperties", False)
    return shut


@pytest.mark.skipif(CRD not in os.environ, reason=f"{CRD} names no file of KubeRay's")
def test_the_rayjob_is_of_kuberays_schema() -> None:
    crd = yaml.load(Path(os.environ[CRD]).read_text(encoding="utf-8"), yaml.CSafeLoader)
    (version,) = (v for v in crd["spec"]["versions"] if v["name"] == "v1")
    schema = closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"])
    jsonschema.validate(read("rayjob.yaml")["spec"], schema)


def test_the_rayjob_asks_for_a_token_and_has_the_version_of_ray() -> None:
    job = read("rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == pinned()
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        for container in group["template"]["spec"]["containers"]:
            names = {entry["name"]: entry for entry in container["env"]}
            assert names["RAY_AUTH_MODE"]["value"] == "token"
            assert "secretKeyRef" in names["RAY_AUTH_TOKEN"]["valueFrom"]


def commands(text: str) -> list[list[str]]:
    """Return the words of every command of ours in a text."""
    lines = re.findall(r"evosearch ((?:search|resume)\b[^&|'\n]*)", text.replace("\\\n", " "))
    return [shlex.split(line) for line in lines]


def test_the_commands_in_them_are_ours() -> None:
    entry = read("rayjob.yaml")["spec"]["entrypoint"]
    script = (DEPLOY / "slurm.sh").read_text(encoding="utf-8")
    found = [*commands(entry), *commands(script)]
    assert len(found) == 4
    group: Any = typer.main.get_command(app)
    for name, *words in found:
        known = {option for p in group.commands[name].params for option in p.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_the_shell_script_is_sound() -> None:
    subprocess.run(["bash", "-n", str(DEPLOY / "slurm.sh")], check=True)
