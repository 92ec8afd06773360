"""Edit values in the text of a YAML file; all other bytes, also comments, stay as they are.

A library that loads and dumps YAML would remove comments together with a key, and change the
layout. Here the parser is only used to find where a value begins and ends.
"""

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

import yaml

WIDTH = 100  # a longer mapping in braces is written on several lines
_INDENT = 2
# Text that every parser of YAML 1.1 or 1.2 reads as text without quotes: words, durations (6m30s).
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*|(?:[0-9]+[smhdw])+")
_WORDS = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
_PADDING = re.compile(r" +(?=#)")
Keys = tuple[str, ...]


def amended(text: str, have: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    r"""Return `text`, whose values are `have`, edited so that its values are `wanted`.

    Merge keys (`<<`) and complex keys (`? key`) are not edited, so parse the result and compare.

    >>> print(amended("a: 1    # one\nb: 2\nset: {}", {"a": 1, "b": 2, "set": {}},
    ...     {"a": None, "set": {"c": {"d": [1.5, "1.5"]}}}))
    a: null # one
    set:
      c:
        d: [1.5, "1.5"]
    """
    if not have:
        head = "\n".join(line for line in text.splitlines() if line.strip() != "{}")
        return f"{head}\n{_written(wanted)}".lstrip("\n") if wanted else text
    for keys, value, after in _puts(have, wanted):
        new = _put(text, keys, value, after)
        if _one_line(text, keys[:-1]) and _widest(new) > max(WIDTH, _widest(text)):
            new = _put(text, keys[:1], wanted[keys[0]], None)
        text = new
    for keys in _drops(have, wanted):
        text = _drop(text, keys)
    return text


def inline(value: object) -> str:
    """Return a value as YAML on one line, which every parser reads alike."""
    return _written([value], width=10**6, flow=True).strip()[1:-1]


def _puts(
    have: Mapping[str, Any], wanted: Mapping[str, Any], above: Keys = ()
) -> Iterator[tuple[Keys, Any, str | None]]:
    """Yield each changed value with its keys, and the key after which a new one is inserted."""
    after = None
    for key, value in wanted.items():
        old = have.get(key)
        if _is_full(old) and _is_full(value):
            yield from _puts(old, value, (*above, key))
        elif key not in have or repr(old) != repr(value):  # 1, 1.0 and true are equal in Python
            yield (*above, key), value, after
        after = key


def _drops(have: Mapping[str, Any], wanted: Mapping[str, Any], above: Keys = ()) -> Iterator[Keys]:
    for key, old in have.items():
        if key not in wanted:
            yield (*above, key)
        elif _is_full(old) and _is_full(wanted[key]):
            yield from _drops(old, wanted[key], (*above, key))


def _is_full(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping) and bool(value)


def _put(text: str, keys: Keys, value: object, after: str | None) -> str:
    node = _mapping(text, keys[:-1])
    if node is None:
        return text
    for key, old in node.value:
        if key.value == keys[-1]:
            return _replaced(text, node, (key, old), value)
    if node.flow_style:
        end = _end(text, node.value[-1][1])
        return f"{text[:end]}, {inline({keys[-1]: value})[1:-1]}{text[end:]}"
    last = next((old for key, old in node.value if key.value == after), node.value[-1][1])
    head, tail = _parted(text, _line_end(text, _end(text, last)))
    return head + _indented({keys[-1]: value}, node) + tail


def _replaced(
    text: str, node: yaml.MappingNode, pair: tuple[yaml.Node, yaml.Node], value: object
) -> str:
    """Return the text with another value for a key; a comment after it stays in its column."""
    key, old = pair
    colon = text.index(":", key.end_mark.index) + 1
    end = _end(text, old)
    if node.flow_style:
        return f"{text[:colon]} {inline(value)}{text[end:]}"
    new = _indented({"k": value}, node).strip()[2:].rstrip("\n")
    if new.startswith("\n"):
        line = _line_end(text, end)
        return f"{text[:colon]}{text[end:line].rstrip()}{new}{text[line:]}"
    begin = old.start_mark.index
    gap = text[colon:begin] if "\n" not in text[colon:begin] else ""
    rest = text[end:]
    if padding := _PADDING.match(rest):
        left = len(padding[0]) - (len(new.strip()) - (end - begin))
        rest = " " * max(1, left if gap else 1) + rest[padding.end() :]
    return f"{text[:colon]}{gap or ' '}{new.strip()}{rest}"


def _drop(text: str, keys: Keys) -> str:
    node = _mapping(text, keys[:-1])
    names = [key.value for key, _ in node.value] if node else []
    if node is None or keys[-1] not in names:
        return text
    number = names.index(keys[-1])
    key, old = node.value[number]
    start, end = key.start_mark.index, _end(text, old)
    if not node.flow_style:
        head, tail = _parted(text, _line_end(text, end))
        return head[: text.rfind("\n", 0, start) + 1] + tail
    if number + 1 < len(names):
        return text[:start] + text[node.value[number + 1][0].start_mark.index :]
    return text[: _end(text, node.value[number - 1][1]) if number else start] + text[end:]


def _mapping(text: str, keys: Keys) -> yaml.MappingNode | None:
    """Return the node of the mapping at `keys`, or None if there is no mapping or it is empty."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for wanted in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for key, value in pairs if key.value == wanted), None)
    return node if isinstance(node, yaml.MappingNode) and node.value else None


def _one_line(text: str, keys: Keys) -> bool:
    """Return whether a mapping is in braces on one line, so that no comment can be in it."""
    node = _mapping(text, keys) if keys else None
    return bool(node and node.flow_style and node.start_mark.line == node.end_mark.line)


def _end(text: str, node: yaml.Node) -> int:
    """Return the index where a value ends; the parser counts blank lines and comments after it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    end = int(node.end_mark.index)
    is_block = isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"}
    return len(text[:end].rstrip()) if is_block else end


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) if end < 0 else end


def _parted(text: str, line_end: int) -> tuple[str, str]:
    """Split the text after a line."""
    return f"{text[:line_end]}\n", text[line_end + 1 :]


def _widest(text: str) -> int:
    return max(map(len, text.splitlines()), default=0)


class _ParamsDumper(yaml.SafeDumper):
    """Writes mappings as blocks, lists in brackets, and text in quotes unless it is plain."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_plain else '"')


def _list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


_ParamsDumper.add_representer(str, _text)
_ParamsDumper.add_representer(list, _list)


def _written(value: object, width: int = WIDTH, *, flow: bool = False) -> str:
    return yaml.dump(
        value,
        Dumper=_ParamsDumper,
        sort_keys=False,
        allow_unicode=True,
        width=width,
        default_flow_style=flow,
    )


def _indented(value: object, node: yaml.MappingNode) -> str:
    column = node.value[0][0].start_mark.column
    return textwrap.indent(_written(value, WIDTH - column), " " * column)
