"""Each mapping file says what its examples say, in both directions."""

from __future__ import annotations

import pytest

from lienthong.mappings import engine, schema

EXAMPLES = [(name, it) for name in engine.contracts() for it in engine.load(name).spec.examples]


def labelled(example: tuple[str, schema.Example]) -> str:
    return f"{example[0]}: {example[1].message}: {example[1].title}"


@pytest.mark.parametrize("example", EXAMPLES, ids=labelled)
def test_a_record_is_written_as_the_example_says(example: tuple[str, schema.Example]) -> None:
    contract, it = example
    message = engine.load(contract).message(it.message)
    assert message.to_wire(message.record_class.model_validate(it.record)) == it.wire


@pytest.mark.parametrize("example", EXAMPLES, ids=labelled)
def test_what_comes_back_is_the_record_of_the_example(example: tuple[str, schema.Example]) -> None:
    contract, it = example
    message = engine.load(contract).message(it.message)
    for wire in (it.wire, *it.also_read):
        assert message.from_wire(wire) == message.record_class.model_validate(it.record)


@pytest.mark.parametrize("contract", engine.contracts())
def test_every_message_that_is_no_part_of_another_has_an_example(contract: str) -> None:
    spec = engine.load(contract).spec
    fields = [field for it in spec.messages.values() for field in it.fields]
    parts = {shape for field in fields for shape in (field.items, field.inline)}
    assert set(spec.messages) - parts <= {it.message for it in spec.examples}
