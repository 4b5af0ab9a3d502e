"""Conditions on requests: small values that are joined with `&`, `|` and `~`, and say why they do not match."""

from mockserver.matching.bodies import Body, Json, JsonPartial
from mockserver.matching.fields import Cookie, Form, Header, Method, Path, PathRegex, Query
from mockserver.matching.jsonpath import JsonPath
from mockserver.matching.matcher import And, Anything, Matcher, Mismatch, Not, Or
from mockserver.matching.values import Absent, Contains, Equal, OneOf, Present, Regex, Value

__all__ = [
    "Absent",
    "And",
    "Anything",
    "Body",
    "Contains",
    "Cookie",
    "Equal",
    "Form",
    "Header",
    "Json",
    "JsonPartial",
    "JsonPath",
    "Matcher",
    "Method",
    "Mismatch",
    "Not",
    "OneOf",
    "Or",
    "Path",
    "PathRegex",
    "Present",
    "Query",
    "Regex",
    "Value",
]
