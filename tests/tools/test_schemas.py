"""The schemas that models read: whole, plain, and true of what is taken."""

from __future__ import annotations

import json

import pytest

from calipers.tools import TOOLS, openai_tools
from calipers.tools.arguments import Box, Point
from calipers.tools.results import ToolError
from calipers.tools.table import parse, plain_schema

jsonschema = pytest.importorskip("jsonschema")


def test_functions_of_the_openai_protocol() -> None:
    for tool in openai_tools():
        function = tool["function"]
        assert tool["type"] == "function"
        assert function["parameters"]["type"] == "object"
        assert not {"anyOf", "oneOf", "allOf", "$defs"} & function["parameters"].keys()
        assert "$ref" not in json.dumps(function)
        assert 20 < len(function["description"]) < 200
        jsonschema.Draft202012Validator.check_schema(function["parameters"])


@pytest.mark.parametrize(
    ("tool", "arguments", "fine"),
    [
        ("depth_at", {"x": 0.5, "y": 0.5}, True),
        ("depth_at", {"x": 300, "y": 7, "pixels": True}, True),
        ("depth_at", {"x": "0.5", "y": 0.5}, False),
        ("depth_at", {"x": 0.5}, False),
        ("depth_at", {"x": 0.5, "y": 0.5, "z": 0}, False),
        ("object_depth", {"object": "the cup"}, True),
        ("object_depth", {"object": 3}, True),
        ("object_depth", {"object": {"box": [0, 0, 1, 1]}}, True),
        ("object_depth", {"object": {"x": 0.5, "y": 0.5}}, False),
        ("gap", {"a": 0, "b": {"mask": {"size": [2, 2], "counts": "22"}}}, True),
        ("gap", {"a": 0}, False),
        ("touching", {"a": 0, "b": 1, "tolerance": -1}, False),
        ("touching", {"a": 0, "b": 1, "tolerance": 0.02}, True),
        ("locate", {}, True),
    ],
)
def test_the_schema_and_the_parser_agree(tool: str, arguments: dict, fine: bool) -> None:
    assert jsonschema.Draft202012Validator(TOOLS[tool].schema).is_valid(arguments) == fine
    try:
        parse(TOOLS[tool].arguments, arguments)
        taken = True
    except ToolError:
        taken = False
    assert taken == fine


def test_what_only_the_parser_knows() -> None:
    with pytest.raises(ToolError, match="wanted 0 to 1, or pixels=true"):
        parse(Point, {"x": 7, "y": 0.5})
    with pytest.raises(ToolError, match="wanted left < right"):
        parse(Box, {"box": [0.9, 0, 0.1, 1]})


def test_plain_schemas_say_what_is_in_them() -> None:
    schema = plain_schema(Point)
    assert schema["required"] == ["x", "y"]
    assert schema["properties"]["pixels"]["default"] is False
