"""Small XML trees, read strictly: no DTD, no entities but XML's own five, bounded in size and depth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

LARGEST_BYTES = 1_000_000
DEEPEST = 30
MOST_NODES = 5_000


class Unreadable(ValueError):
    """No XML, or XML that the imitated systems do not take."""


@dataclass(slots=True)
class Node:
    """One element; `text` is all that stands directly in it."""

    namespace: str
    name: str
    text: str = ""
    children: list[Node] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)

    def child(self, name: str) -> Node | None:
        """Return the first child of that local name."""
        return next((one for one in self.children if one.name == name), None)


class _Builder:
    def __init__(self) -> None:
        self.root: Node | None = None
        self._open: list[Node] = []
        self._nodes = 0

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        self._nodes += 1
        if len(self._open) >= DEEPEST or self._nodes > MOST_NODES:
            raise Unreadable("too deep or too large")
        node = Node(namespace, local, attributes=attributes)
        if self._open:
            self._open[-1].children.append(node)
        elif self.root is None:
            self.root = node
        self._open.append(node)

    def end(self, _: str) -> None:
        self._open.pop()

    def text(self, text: str) -> None:
        self._open[-1].text += text

    def refuse(self, *_: object) -> None:
        raise Unreadable("a DTD is not accepted")


def read(raw: bytes) -> Node:
    """Read a document. Raises Unreadable, whatever arrives."""
    if len(raw) > LARGEST_BYTES:
        raise Unreadable("too large")
    builder = _Builder()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = builder.begin
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.refuse
    parser.EntityDeclHandler = builder.refuse
    try:
        parser.Parse(raw, True)
    except (expat.ExpatError, LookupError) as problem:
        raise Unreadable(str(problem)) from None
    except Unreadable:
        raise
    except ValueError as problem:
        raise Unreadable(str(problem)) from None
    if builder.root is None:
        raise Unreadable("empty")
    return builder.root


def walk(node: Node) -> Iterator[Node]:
    """Give an element and everything in it."""
    yield node
    for child in node.children:
        yield from walk(child)


def written(node: Node) -> str:
    """Write a tree again; only namespaces and prefixes may come out otherwise."""
    head = f"{node.name} xmlns={quoteattr(node.namespace)}" if node.namespace else f'{node.name} xmlns=""'
    for place, (name, value) in enumerate(node.attributes.items()):
        namespace, _, local = name.rpartition(" ")
        prefix = f"p{place}:" if namespace else ""
        declared = f" xmlns:p{place}={quoteattr(namespace)}" if namespace else ""
        head += f"{declared} {prefix}{local}={quoteattr(value)}"
    inside = "".join(written(child) for child in node.children) or escape(node.text)
    return f"<{head}>{inside}</{node.name}>"


def element(name: str, inside: str = "", *, text: object = None) -> str:
    """Write one element: with `text` escaped, or with what is already XML inside."""
    body = inside if text is None else escape(str(text))
    return f"<{name}>{body}</{name}>" if body else f"<{name}/>"
