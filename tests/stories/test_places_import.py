"""Communes come from the operator's own files: all or nothing, bad rows named, the same file twice is one."""

from __future__ import annotations

import builders
import pytest

from lienthong.bus.flows import places_import
from lienthong.core import errors

COMMUNES = "code,name,kind,province\n00004,Phường Ba Đình,phường,01\n00008,Phường Ngọc Hà,phường,01\n"
CHANGES = "old,new,old_name\n00001,00004,Phường Phúc Xá\n00007,00004 00008,Phường Cống Vị\n"


@pytest.fixture
async def hub(database_url, tmp_path):
    async with builders.running_hub(tmp_path, database_url=database_url) as found:
        yield found


@pytest.fixture
def file(tmp_path):
    def write(text: str):
        path = tmp_path / f"{abs(hash(text))}.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


async def test_an_old_commune_leads_to_its_new_ones(hub, file):
    done = await places_import.run(hub, communes=file(COMMUNES), changes=file(CHANGES))
    assert (done.communes, done.changes, done.bad) == (2, 2, ())
    assert [found.name for found in await places_import.successors(hub, "00007")] == [
        "Phường Ba Đình",
        "Phường Ngọc Hà",
    ]
    assert (await places_import.find_commune(hub, "00008")).name == "Phường Ngọc Hà"
    assert await places_import.find_commune(hub, "99999") is None
    assert await places_import.successors(hub, "99999") == ()


async def test_a_new_file_takes_the_place_of_the_old_one(hub, file):
    await places_import.run(hub, communes=file(COMMUNES))
    done = await places_import.run(hub, communes=file(COMMUNES.replace("00008", "00009")))
    assert done.removed == 1
    assert await places_import.find_commune(hub, "00008") is None
    assert (await places_import.run(hub, communes=file(COMMUNES.replace("00008", "00009")))).removed == 0


async def test_a_bad_row_is_named_with_its_line_and_the_rest_taken(hub, file):
    rows = "".join(f"{n:05d},Xã số {n},xã,01\n" for n in range(10, 30))
    done = await places_import.run(hub, communes=file(COMMUNES + rows + "12,Xã,xã,01\n"))
    assert done.communes == 22
    assert [(bad.line, bad.en) for bad in done.bad] == [(24, "the code must have 5 digits")]


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "code,name,province\n1,Xã,01\n2,Xã,01\n"])
async def test_a_file_that_is_another_one_changes_nothing(hub, file, text):
    await places_import.run(hub, communes=file(COMMUNES))
    with pytest.raises(errors.InvalidRequest):
        await places_import.run(hub, communes=file(text))
    assert await places_import.find_commune(hub, "00004") is not None


async def test_a_file_that_is_not_there_is_named(hub, tmp_path):
    with pytest.raises(errors.InvalidRequest, match=r"nothing\.csv"):
        await places_import.run(hub, communes=tmp_path / "nothing.csv")


async def test_the_real_lists_come_in(hub, shared_data):
    codes = shared_data / "codes"
    done = await places_import.run(
        hub, communes=codes / "wards-2025.csv", changes=codes / "wards-old-to-new-2025.csv"
    )
    assert (done.communes, done.bad) == (3321, ())
    assert done.changes > 10_000
    assert len(await places_import.successors(hub, "00007")) == 2
