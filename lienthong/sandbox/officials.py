"""Officials that the population database knows: invented, and more can be added while the sandbox runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Official:
    """One registered official: what a look-up must say of who asks (contracts §5.3)."""

    code: str
    unit: str
    account: str
    phone: str
    name: str = ""

    def described(self) -> dict[str, str]:
        """Return the official as the control page shows one."""
        return asdict(self)


# The first is the one of the contract's example.
KNOWN = (
    Official("CB000123", "H56.14", "cb000123", "0900000000", "Cán bộ của ví dụ trong hợp đồng"),
    Official("CB000201", "H38.15", "cb000201", "0900000201", "Trần Thị Tiếp Nhận"),
    Official("CB000202", "H38.15", "cb000202", "0900000202", "Lê Văn Thẩm Tra"),
    Official("CB000203", "H38.16", "cb000203", "0900000203", "Phạm Thị Đơn Vị Khác"),
    Official("CB000204", "000.00.00.H38", "cb000204", "0900000204", "Hoàng Văn Mã Cũ"),
)
_LONGEST = {"code": 20, "unit": 35, "account": 100, "phone": 30, "name": 200}


class Officials:
    """The list of registered officials, by code."""

    def __init__(self) -> None:
        """Start with the known ones."""
        self.by_code = {one.code: one for one in KNOWN}

    def put(self, wanted: Any) -> Official:
        """Register an official or replace one. Raises ValueError with a sentence for people."""
        if not isinstance(wanted, dict) or set(wanted) - set(_LONGEST):
            raise ValueError(f"cán bộ gồm / an official has: {', '.join(_LONGEST)}")
        given = {key: str(value).strip() for key, value in wanted.items() if isinstance(value, str)}
        missing = [key for key in ("code", "unit", "account", "phone") if not given.get(key)]
        if missing:
            raise ValueError(f"thiếu / missing: {', '.join(missing)}")
        if any(len(value) > _LONGEST[key] for key, value in given.items()):
            raise ValueError("một trường quá dài / a field is too long")
        official = Official(given["code"], given["unit"], given["account"], given["phone"], given.get("name", ""))
        self.by_code[official.code] = official
        return official

    def drop(self, code: str) -> bool:
        """Strike an official off; false where nobody has that code."""
        return self.by_code.pop(code, None) is not None
