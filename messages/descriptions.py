"""What the docstrings under a model's fields say.

They are read from the source when somebody asks for them: pydantic's own way reads all source at every start, which takes half of it.
"""

import ast
import inspect
from functools import lru_cache
from types import ModuleType
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema


def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """What is said of each field that anything is said of, of those of its bases too."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            said = _said(inspect.getmodule(base), base.__name__)
            found = {name: words for name, words in found.items() if name not in inspect.get_annotations(base)} | said
    told = {name: field.description for name, field in model.model_fields.items() if field.description}
    return {name: words for name, words in found.items() if name in model.model_fields} | told


class Described(GenerateJsonSchema):
    """The JSON schema of a model with what is said of its fields: `model_json_schema(schema_generator=Described)`."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        found = super().model_schema(schema)
        model: type[Any] = schema["cls"]
        for name, words in descriptions(model).items():
            found["properties"][model.model_fields[name].alias or name]["description"] = words
        return found


def _said(module: ModuleType | None, name: str) -> dict[str, str]:
    return {} if module is None else _classes(module).get(name, {})


@lru_cache
def _classes(module: ModuleType) -> dict[str, dict[str, str]]:
    tree = ast.parse(inspect.getsource(module))
    return {one.name: _docstrings(one) for one in tree.body if isinstance(one, ast.ClassDef)}


def _docstrings(one: ast.ClassDef) -> dict[str, str]:
    found: dict[str, str] = {}
    for field, below in zip(one.body, one.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                found[name] = inspect.cleandoc(words)
    return found
