"""The description at /openapi.json says what is there."""

from typing import Any

import pytest

from tests.mockserver.resources.site import Site


def resolved(whole: Any, value: Any) -> Any:
    """`value`, where it is a reference what it leads to."""
    for name in value["$ref"].removeprefix("#/").split("/") if "$ref" in value else ():
        whole = whole[name]
        value = whole
    return value


def test_every_path_described_is_served_and_every_method() -> None:
    """With the path's own Allow, neither more nor less."""
    site = Site({"users": 2, "orders": 2, "things": 1})
    told = site.get("/openapi.json").data
    assert told["openapi"] == "3.1.0"
    assert set(told["paths"]) == {
        "/users", "/users/{id}", "/users/{id}/orders", "/orders", "/orders/{id}", "/things", "/things/{id}"
    }  # fmt: skip
    for path, item in told["paths"].items():
        allowed = site.ask("OPTIONS", path.replace("{id}", "1")).headers["allow"].split(", ")
        assert {method.lower() for method in allowed} - {"head"} == set(item) - {"parameters"}


@pytest.mark.parametrize("name", ["users", "orders", "products", "posts", "comments", "todos", "things"])
def test_records_have_the_fields_and_types_described(name: str) -> None:
    """Each of them, and no others."""
    site = Site({"users": 5, "orders": 5, "products": 5, "posts": 5, "comments": 5, "todos": 5, "things": 5})
    schema = site.get("/openapi.json").data["components"]["schemas"][name]
    kinds = {"boolean": bool, "integer": int, "string": str}
    for record in site.get(f"/{name}").data:
        del record["id"]
        assert {field: type(value) for field, value in record.items()} == {
            field: kinds[each["type"][0]] for field, each in schema["properties"].items()
        }


def test_every_parameter_described_is_taken_and_every_reference_leads_somewhere() -> None:
    """A list refuses what it does not know, so that this can fail."""
    site = Site()
    told = site.get("/openapi.json").data
    samples = {"integer": "1", "string": ""}
    for path in ("/users", "/orders", "/users/{id}/orders"):
        for parameter in told["paths"][path]["get"]["parameters"]:
            value = samples[parameter["schema"]["type"]]
            assert site.get(f"{path.replace('{id}', '1')}?{parameter['name']}={value}").status == 200
        body = told["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert resolved(told, body)["type"] == "object"
