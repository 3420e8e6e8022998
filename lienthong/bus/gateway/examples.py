"""Examples that the public reference and the OpenAPI document show; every person in them is invented."""

from __future__ import annotations

from typing import Any

_CODE = "000.00.00.H38-260115-0001"
PATHS: dict[str, dict[str, str]] = {
    "procedures.get": {"code": "1.000001"},
    "procedures.versions": {"code": "1.000001"},
    "dossiers.put": {"code": _CODE},
    "dossiers.get": {"code": _CODE},
    "dossiers.timeline": {"code": _CODE},
    "dossiers.report_status": {"code": _CODE},
    "messages.get": {"id": "019bc0de-7000-7000-8000-000000000001"},
    "enquiries.get": {"code": _CODE},
}
QUERIES: dict[str, str] = {"procedures.list": "q=dang+ky+khai+sinh&limit=5"}
BODIES: dict[str, dict[str, Any]] = {
    "dossiers.put": {
        "code": _CODE,
        "procedure_code": "1.000001",
        "applicant": {
            "kind": "citizen",
            "name": "Nguyễn Văn Mẫu",
            "citizen_id": "001099000001",
            "phone": "0900000001",
        },
        "summary": "Đăng ký khai sinh",
        "channel": "online",
        "submitted_at": "2026-01-15T08:30:00+07:00",
        "received_at": "2026-01-15T09:00:00+07:00",
        "due_at": "2026-01-16T17:00:00+07:00",
        "agency": "000.00.00.H38",
    },
    "dossiers.report_status": {
        "status": "received",
        "occurred_at": "2026-01-15T09:30:00+07:00",
        "handled_by": "Trần Thị Ví Dụ",
        "unit": "Bộ phận Một cửa",
        "note": "Đã tiếp nhận hồ sơ",
    },
}
