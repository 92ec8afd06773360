"""A YAML file's text with other values: all that stays keeps its bytes, comments included.

A library's round trip takes the comments around a key along when the key goes, and lays out anew
what a person laid out. Here the parser only says where a value begins and ends.
"""

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

import yaml

WIDTH = 100  # beyond which a mapping in braces is put on lines of its own
_INDENT = 2
# What every reader of YAML 1.1 or 1.2 takes for text, as it stands: words, and durations (6m30s).
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*|(?:[0-9]+[smhdw])+")
_WORDS = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
_PADDING = re.compile(r" +(?=#)")
Keys = tuple[str, ...]


def amended(text: str, have: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    r"""Return `text`, which holds `have`, with the values of `wanted`.

    It goes as far as the parser can follow (not into `<<` or `? key`), so read the result back.

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
    """Write a value on one line, so that every reader of YAML reads the same."""
    return _written([value], width=10**6, flow=True).strip()[1:-1]


def _puts(
    have: Mapping[str, Any], wanted: Mapping[str, Any], above: Keys = ()
) -> Iterator[tuple[Keys, Any, str | None]]:
    """Yield where which value is to stand, and the key that it comes after."""
    after = None
    for key, value in wanted.items():
        there = have.get(key)
        if _is_full(there) and _is_full(value):
            yield from _puts(there, value, (*above, key))
        elif key not in have or repr(there) != repr(value):  # 1, 1.0 and true are equal, not alike
            yield (*above, key), value, after
        after = key


def _drops(have: Mapping[str, Any], wanted: Mapping[str, Any], above: Keys = ()) -> Iterator[Keys]:
    for key, there in have.items():
        if key not in wanted:
            yield (*above, key)
        elif _is_full(there) and _is_full(wanted[key]):
            yield from _drops(there, wanted[key], (*above, key))


def _is_full(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping) and bool(value)


def _put(text: str, keys: Keys, value: object, after: str | None) -> str:
    node = _mapping(text, keys[:-1])
    if node is None:
        return text
    for key, there in node.value:
        if key.value == keys[-1]:
            return _replaced(text, node, (key, there), value)
    if node.flow_style:
        end = _end(text, node.value[-1][1])
        return f"{text[:end]}, {inline({keys[-1]: value})[1:-1]}{text[end:]}"
    last = next((there for key, there in node.value if key.value == after), node.value[-1][1])
    head, tail = _parted(text, _line_end(text, _end(text, last)))
    return head + _indented({keys[-1]: value}, node) + tail


def _replaced(
    text: str, node: yaml.MappingNode, pair: tuple[yaml.Node, yaml.Node], value: object
) -> str:
    """Put a value where another one stands; a comment behind it stays in its column."""
    key, there = pair
    colon = text.index(":", key.end_mark.index) + 1
    end = _end(text, there)
    if node.flow_style:
        return f"{text[:colon]} {inline(value)}{text[end:]}"
    new = _indented({"k": value}, node).strip()[2:].rstrip("\n")
    if new.startswith("\n"):
        line = _line_end(text, end)
        return f"{text[:colon]}{text[end:line].rstrip()}{new}{text[line:]}"
    begin = there.start_mark.index
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
    key, there = node.value[number]
    start, end = key.start_mark.index, _end(text, there)
    if not node.flow_style:
        head, tail = _parted(text, _line_end(text, end))
        return head[: text.rfind("\n", 0, start) + 1] + tail
    if number + 1 < len(names):
        return text[:start] + text[node.value[number + 1][0].start_mark.index :]
    return text[: _end(text, node.value[number - 1][1]) if number else start] + text[end:]


def _mapping(text: str, keys: Keys) -> yaml.MappingNode | None:
    """Find the mapping at `keys`, where there is one with something in it."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for wanted in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((there for key, there in pairs if key.value == wanted), None)
    return node if isinstance(node, yaml.MappingNode) and node.value else None


def _one_line(text: str, keys: Keys) -> bool:
    """Tell whether a mapping stands in braces on one line, where no comment can be in it."""
    node = _mapping(text, keys) if keys else None
    return bool(node and node.flow_style and node.start_mark.line == node.end_mark.line)


def _end(text: str, node: yaml.Node) -> int:
    """Find where a value ends; to the parser, lines and comments behind it are still its own."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    end = int(node.end_mark.index)
    is_block = isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"}
    return len(text[:end].rstrip()) if is_block else end


def _line_end(text: str, index: int) -> int:
    found = text.find("\n", index)
    return len(text) if found < 0 else found


def _parted(text: str, line_end: int) -> tuple[str, str]:
    """Part the text behind a line."""
    return f"{text[:line_end]}\n", text[line_end + 1 :]


def _widest(text: str) -> int:
    return max(map(len, text.splitlines()), default=0)


class _Dumper(yaml.SafeDumper):
    """Mappings on lines of their own, lists in brackets, text in quotes where it looks otherwise."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_plain else '"')


def _list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)


def _written(value: object, width: int = WIDTH, *, flow: bool = False) -> str:
    return yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=width,
        default_flow_style=flow,
    )


def _indented(value: object, node: yaml.MappingNode) -> str:
    column = node.value[0][0].start_mark.column
    return textwrap.indent(_written(value, WIDTH - column), " " * column)
