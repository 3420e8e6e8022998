"""What a password of the desks costs whoever would guess it; everywhere else the tests make it cheap."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from lienthong.console.accounts import passwords


@pytest.fixture
def as_shipped() -> ModuleType:
    """Load the module once more, untouched by the tests."""
    spec = importlib.util.spec_from_file_location("passwords_as_shipped", str(passwords.__file__))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_a_password_costs_what_rfc_9106_asks(as_shipped: ModuleType) -> None:
    kept = await as_shipped.hashed("mot-mat-khau-du-dai", name="lan")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await as_shipped.is_right("mot-mat-khau-du-dai", kept)
    assert not await as_shipped.is_right("mot-mat-khau-khac-han", kept)
    assert not await as_shipped.is_right("mot-mat-khau-du-dai", None)
