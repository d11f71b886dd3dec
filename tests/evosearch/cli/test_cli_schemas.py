"""What commands print as JSON is what docs/schemas says, no key more and none less."""

import json
from pathlib import Path

import jsonschema
import pytest
from referencing import Registry, Resource

SCHEMAS = {
    path.stem: json.loads(path.read_text("utf-8"))
    for path in (Path(__file__).parents[3] / "docs" / "schemas").glob("*.json")
}
REGISTRY = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()
)


def require(name, value):
    kind = jsonschema.Draft202012Validator
    kind.check_schema(SCHEMAS[name])
    kind(SCHEMAS[name], registry=REGISTRY).validate(value)


@pytest.mark.parametrize("name", ["top", "status", "watch"])
def test_a_run_as_json_is_as_its_schema_says(as_json, small_run, name):
    require(name, as_json(name, small_run))


def test_candidates_and_errors_are_as_their_schemas_say(as_json, small_run):
    for candidate in as_json("lineage", small_run, 5):
        require("candidate", candidate)
    require("error", as_json("show", "nothing", code=2))


def test_schemas_forbid_what_they_do_not_name():
    def closed(schema):
        if isinstance(schema, dict):
            if "properties" in schema:
                assert schema["additionalProperties"] is False
                assert schema["required"] == list(schema["properties"])
            for part in schema.values():
                closed(part)
        for part in schema if isinstance(schema, list) else ():
            closed(part)

    assert set(SCHEMAS) == {"candidate", "error", "status", "top", "watch"}
    for schema in SCHEMAS.values():
        closed(schema)


def whole_numbers(value):
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from whole_numbers(part)
    elif isinstance(value, int):
        yield value


def test_integers_survive_javascript(as_json, small_run):
    for words in [("show", small_run), ("top", small_run), ("status", small_run)]:
        assert max(whole_numbers(as_json(*words))) < 2**53
