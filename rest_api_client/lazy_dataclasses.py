"""The standard library's `dataclass`, whose methods are made when they are first looked up.

`dataclasses.dataclass` compiles up to ten methods while a module is imported: two fifths of what importing a package of
a hundred dataclasses costs, and most of them are never called in a process. Here the decorator leaves a mark in the
place of each, and whoever looks at a mark finds the method. The standard library makes everything but `__init__`,
which must not wait for the others: nearly every class is called, few are compared, printed or pickled.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls: type | None = None, /, **options: bool) -> Any:
        """What `dataclasses.dataclass` does, later; its arguments."""
        return _marked(cls, options) if cls is not None else lambda cls: _marked(cls, options)


_SHAPE = ("__dataclass_fields__", "__match_args__")
_METHODS = {
    "repr": ("__repr__",),
    "eq": ("__eq__", "__hash__"),
    "order": ("__lt__", "__le__", "__gt__", "__ge__"),
}
_PICKLED = ("__getstate__", "__setstate__")
_DEFAULTS = {"init": True, "repr": True, "eq": True, "order": False, "frozen": False, "slots": False}
_NO_FIELD = ("ClassVar", "InitVar", "KW_ONLY")


class _Late:
    """Stands where a method will be.

    Args:
        making: makes it, and those that come with it.
        names: theirs.
        name: its own.
    """

    __slots__ = ("_making", "_name", "_names")

    def __init__(self, making: _Making, names: tuple[str, ...], name: str) -> None:
        self._making = making
        self._names = names
        self._name = name

    def __get__(self, instance: object | None, owner: type) -> Any:
        made = self._making.make(self._names)[self._name]
        return made.__get__(instance, owner) if hasattr(made, "__get__") else made


class _Making:
    """Makes the methods of one class.

    They are made on another class, so that a thread that looks meanwhile sees either a mark or a method.

    Args:
        given: the class body; it keeps the defaults for which a class with slots has no place.
        options: of the decorator.
    """

    def __init__(self, given: dict[str, Any], options: dict[str, bool]) -> None:
        self.cls: type = object
        self._given = given
        self._options = options

    def mark(self, *names: str) -> None:
        """Leave marks for these, which are made together; not where the class body has its own."""
        names = tuple(name for name in names if self._given.get(name) is None)
        for name in names:
            setattr(self.cls, name, _Late(self, names, name))

    def make(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Put what is made in the place of these marks, and return it."""
        if "__init__" in names:
            made = {"__init__": _init(self.cls, frozen=self._options.get("frozen", False))}
        elif "__match_args__" in names:
            nothing = {"init": False, "repr": False, "eq": False, "kw_only": self._options.get("kw_only", False)}
            made = self._standard(nothing)
        else:
            made = self._standard(self._options)
        for name in names:
            setattr(self.cls, name, made[name])
        return made

    def _standard(self, options: dict[str, bool]) -> dict[str, Any]:
        return dict(vars(dataclasses.dataclass(**options)(self._twin())))

    def _twin(self) -> type:
        """A class with all the fields of this one, the inherited ones too, and what its author wrote himself."""
        fields: dict[str, dataclasses.Field[Any]] = {}
        for base in self.cls.__mro__[:0:-1]:
            fields |= getattr(base, "__dataclass_fields__", {})
        inherited = {name: copy.copy(field) for name, field in fields.items()}
        annotations = {name: field.type for name, field in inherited.items()} | self._given.get("__annotations__", {})
        own = ("__module__", "__qualname__", "__doc__", "__eq__", "__hash__", *annotations)
        body = {name: self._given[name] for name in own if name in self._given}
        return type(self.cls.__name__, (), {"__annotations__": annotations} | inherited | body)


class _Factory:
    """What a parameter shows whose default is made anew for each object."""

    def __repr__(self) -> str:
        return "<factory>"


_FACTORY = _Factory()


def _init(cls: type, *, frozen: bool) -> Any:
    fields = [each for each in cls.__dataclass_fields__.values() if not each.type.startswith("ClassVar")]  # type: ignore[attr-defined]
    passed = [each for each in fields if each.init]
    names: dict[str, Any] = {"__set": object.__setattr__, "__FACTORY": _FACTORY}
    for each in fields:
        names[f"__default_{each.name}"] = each.default
        names[f"__make_{each.name}"] = each.default_factory
    parameters = [
        "self",
        *(_parameter(each) for each in passed if not each.kw_only),
        *(["*"] if any(each.kw_only for each in passed) else []),
        *(_parameter(each) for each in passed if each.kw_only),
    ]
    body = [*_settings(fields, "__set(self, {0!r}, {1})" if frozen else "self.{0} = {1}"), "pass"]
    if hasattr(cls, "__post_init__"):
        body.append(f"self.__post_init__({', '.join(each.name for each in fields if _is_argument(each))})")
    lines = [f"def __init__({', '.join(parameters)}):", *body]
    exec("\n ".join(lines), names)  # noqa: S102  names of fields and nothing else, as the standard library does
    method = names["__init__"]
    method.__module__ = cls.__module__
    method.__qualname__ = f"{cls.__qualname__}.__init__"
    method.__annotations__ = {each.name: each.type for each in passed} | {"return": None}
    return method


def _is_argument(field: dataclasses.Field[Any]) -> bool:
    """Whether it is for `__post_init__` alone."""
    return str(field.type).startswith("InitVar")


def _parameter(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"{field.name}=__default_{field.name}"
    return f"{field.name}=__FACTORY" if field.default_factory is not dataclasses.MISSING else field.name


def _settings(fields: list[dataclasses.Field[Any]], line: str) -> Iterator[str]:
    for field in fields:
        made = field.default_factory is not dataclasses.MISSING
        if _is_argument(field):
            continue
        if not field.init:
            if made or field.default is not dataclasses.MISSING:
                yield line.format(field.name, f"__make_{field.name}()" if made else f"__default_{field.name}")
        elif made:
            yield line.format(field.name, f"__make_{field.name}() if {field.name} is __FACTORY else {field.name}")
        else:
            yield line.format(field.name, field.name)


def _marked(cls: type, options: dict[str, bool]) -> type:
    chosen = _DEFAULTS | options
    given = dict(vars(cls))
    fields = [name for name, kind in given.get("__annotations__", {}).items() if not kind.startswith(_NO_FIELD)]
    making = _Making(given, options)
    if chosen["slots"]:
        cls = making.cls = _slotted(cls, given, fields, options.get("weakref_slot", False))
    else:
        making.cls = cls
        _plain_defaults(cls, given, fields)
    making.mark(*_SHAPE)
    if chosen["init"]:
        making.mark("__init__")
    making.mark(
        "__dataclass_params__",
        *(name for option, names in _METHODS.items() if chosen[option] for name in names),
        *(_PICKLED if chosen["frozen"] and chosen["slots"] else ()),
    )
    if chosen["frozen"]:
        _freeze(cls)
    return cls


def _slotted(cls: type, given: dict[str, Any], fields: list[str], weakly: bool) -> type:
    taken = {name for base in cls.__mro__[1:-1] for name in vars(base).get("__slots__", ())}
    slots = [name for name in (*fields, *(["__weakref__"] if weakly else ())) if name not in taken]
    body = {name: value for name, value in given.items() if name not in (*fields, "__dict__", "__weakref__")}
    made = type(cls)(cls.__name__, cls.__bases__, body | {"__slots__": tuple(slots)})
    made.__qualname__ = cls.__qualname__
    return made


def _plain_defaults(cls: type, given: dict[str, Any], fields: list[str]) -> None:
    for name in fields:
        value = given.get(name)
        if isinstance(value, dataclasses.Field):
            if value.default is dataclasses.MISSING:
                delattr(cls, name)
            else:
                setattr(cls, name, value.default)


def _freeze(cls: type) -> None:
    def refuse(self: object, name: str, action: str) -> None:
        if type(self) is cls or name in cls.__dataclass_fields__:  # type: ignore[attr-defined]
            raise dataclasses.FrozenInstanceError(f"cannot {action} field {name!r}")

    def __setattr__(self: object, name: str, value: object) -> None:  # noqa: N807
        refuse(self, name, "assign to")
        super(cls, self).__setattr__(name, value)  # type: ignore[arg-type]

    def __delattr__(self: object, name: str) -> None:  # noqa: N807
        refuse(self, name, "delete")
        super(cls, self).__delattr__(name)  # type: ignore[arg-type]

    cls.__setattr__ = __setattr__  # type: ignore[assignment,method-assign]
    cls.__delattr__ = __delattr__  # type: ignore[assignment,method-assign]
