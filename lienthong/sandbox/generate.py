"""`python -m lienthong.sandbox.generate`: invented catalogues of any size, the same for the same seed.

Records have the English keys of the July collection; names, agencies and fees are plausible, none is real.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

Record = dict[str, Any]

_FIELDS = Path(__file__).with_name("invented_fields.csv")
_ACTS = ("Cấp", "Cấp lại", "Gia hạn", "Điều chỉnh", "Thu hồi", "Cấp đổi", "Công nhận", "Xác nhận")
_WHOM = ("đối với cá nhân", "đối với tổ chức", "đối với hộ kinh doanh", "tại khu vực biên giới",
         "trường hợp bị mất",
         "trường hợp thay đổi thông tin", "có yếu tố nước ngoài", "qua dịch vụ bưu chính")  # fmt: skip
_PAPERS = ("Đơn đề nghị theo mẫu", "Bản sao giấy tờ chứng minh", "Văn bản ủy quyền", "Ảnh chân dung cỡ 4 × 6 cm",
           "Bản vẽ kèm theo", "Báo cáo tình hình hoạt động", "Giấy xác nhận của cơ quan quản lý",
           "Hợp đồng có công chứng", "Phương án thực hiện", "Danh sách người tham gia")  # fmt: skip
_SUBJECTS = ("Công dân Việt Nam", "Doanh nghiệp", "Tổ chức (không bao gồm doanh nghiệp, HTX)", "Hợp tác xã",
             "Người nước ngoài", "Người Việt Nam định cư ở nước ngoài")  # fmt: skip
_LEVELS = ("Cấp Xã", "Cấp Tỉnh", "Cấp Bộ/Trung ương")
_KINDS = ("TTHC được luật giao quy định chi tiết", "NOT_ASSIGNED_REGULATION", "OTHER")
_LETTERS = {"Bộ Tư pháp": "BTP", "Bộ Công an": "BCA", "Bộ Tài chính": "BTC", "Bộ Nội vụ": "BNV", "Bộ Y tế": "BYT"}
_STEPS = (
    "Bước 1: Người đề nghị nộp hồ sơ.",
    "Bước 2: Cơ quan tiếp nhận kiểm tra tính đầy đủ của hồ sơ và cấp giấy hẹn trả kết quả.",
    "Bước 3: Cơ quan có thẩm quyền thẩm định, xác minh khi cần.",
    "Bước 4: Trả kết quả cho người đề nghị.",
)


def records(count: int, *, seed: int) -> Iterator[Record]:
    """Make `count` records; the same count and seed give the same records."""
    chance = random.Random(seed)
    with _FIELDS.open(encoding="utf-8", newline="") as file:
        fields = list(csv.DictReader(file))
    for number in range(count):
        yield _record(number, chance.choice(fields), chance)


def _record(number: int, field: dict[str, str], chance: random.Random) -> Record:
    thing, whom = chance.choice(field["things"].split(" | ")), chance.choice(_WHOM)
    ministry, agency = field["ministry"], field["agency"]
    letters = _LETTERS.get(ministry, "BXD")
    return {
        "code": f"{1 + number // 900_000}.{100_000 + number % 900_000}",
        "decision_no": f"{chance.randint(10, 3999)}/QĐ-{letters}",
        "name": f"{chance.choice(_ACTS)} {thing} {whom} (mẫu số {number + 1})",
        "level": chance.choice(_LEVELS),
        "kind": chance.choice(_KINDS),
        "field": field["field"],
        "steps": "\n".join(_STEPS[: chance.randint(2, len(_STEPS))]),
        "methods": [_method(channel, chance) for channel in _channels(chance)],
        "dossier_cases": [{"case": "", "components": _components(chance)}],
        "subjects": chance.sample(_SUBJECTS, chance.randint(1, 3)),
        "executing_agency": agency,
        "competent_agency": agency,
        "receiving_address": "",
        "authorised_agency": "",
        "coordinating_agency": "",
        "results": thing.capitalize(),
        "legal_basis": [_law(chance) for _ in range(chance.randint(1, 4))],
        "requirements": "" if chance.random() < 0.6 else "Đáp ứng điều kiện theo quy định của pháp luật.",
        "keywords": "",
        "description": "",
        "state": chance.choice(("ACTIVE", "UPDATED")),
        "type": "STANDARD",
        "promulgating_agency": ministry,
    }


def _channels(chance: random.Random) -> list[str]:
    return ["DIRECT", *chance.sample(("ONLINE", "POSTAL"), chance.randint(0, 2))]


def _method(channel: str, chance: random.Random) -> Record:
    days, unit = str(chance.choice((1, 2, 3, 5, 7, 10, 15, 20, 30))), chance.choice(("WORKING_DAY", "ngày"))
    amount = chance.choice((0, 0, 8_000, 10_000, 20_000, 50_000, 150_000, 500_000))
    note = "Do Hội đồng nhân dân cấp tỉnh quyết định" if amount == 0 and chance.random() < 0.5 else ""
    fees = [{"amount_vnd": amount, "note": note}] if chance.random() < 0.7 else []
    return {"channel": channel, "time_text": f"{days} {unit}", "time_qty": days, "time_unit": unit, "fees": fees}


def _components(chance: random.Random) -> list[Record]:
    return [
        {"name": name, "original": chance.randint(0, 2), "copy": chance.randint(0, 1)}
        for name in chance.sample(_PAPERS, chance.randint(1, 6))
    ]


def _law(chance: random.Random) -> Record:
    kind, letters = chance.choice((("Nghị định", "NĐ-CP"), ("Thông tư", "TT-BTP"), ("Thông tư", "TT-BXD")))
    number = f"{chance.randint(1, 200)}/{chance.randint(2015, 2026)}/{letters}"
    return {"title": f"{kind} {number}", "number": number}


def write(path: Path, *, count: int, seed: int) -> None:
    """Write a catalogue file of invented records; gzipped where its name ends in `.gz`."""
    lines = (orjson.dumps(record) + b"\n" for record in records(count, seed=seed))
    with path.open("wb") as file:
        if path.suffix != ".gz":
            file.writelines(lines)
            return
        # No name and no time in the head of the file: the same records give the same bytes.
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as packed:
            packed.writelines(lines)


def main(argv: list[str] | None = None) -> int:
    """Write one file as the command line says."""
    parser = argparse.ArgumentParser(prog="lienthong.sandbox.generate", description="Danh mục giả lập.")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="FILE.jsonl hoặc FILE.jsonl.gz")
    wanted = parser.parse_args(argv)
    if wanted.count < 1:
        parser.error("--count phải lớn hơn 0 / must be above 0")
    write(wanted.out, count=wanted.count, seed=wanted.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
