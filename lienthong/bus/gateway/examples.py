"""Examples that the public reference and the OpenAPI document show; every person in them is invented."""

from __future__ import annotations

from typing import Any

_CODE = "000.00.00.H38-260115-0001"
_OCCASION = {"dossier_code": _CODE, "purpose": "Đối chiếu người yêu cầu đăng ký khai sinh"}
_CITIZEN = {"citizen_id": "001099000001", "full_name": "Nguyễn Văn Mẫu", "birth": {"day": "1999-01-15"}}
_PAYMENT = "019bc0de-7000-7000-8000-000000000003"
_PARCEL = "019bc0de-7000-7000-8000-000000000004"
PATHS: dict[str, dict[str, str]] = {
    "procedures.get": {"code": "1.000001"},
    "procedures.versions": {"code": "1.000001"},
    "dossiers.put": {"code": _CODE},
    "dossiers.get": {"code": _CODE},
    "dossiers.timeline": {"code": _CODE},
    "dossiers.report_status": {"code": _CODE},
    "messages.get": {"id": "019bc0de-7000-7000-8000-000000000001"},
    "enquiries.get": {"code": _CODE},
    "catalogues.get": {"code": "madantoc"},
    "payments.get": {"id": _PAYMENT},
    "payments.refund": {"id": _PAYMENT},
    "payments.receipt": {"id": _PAYMENT},
    "parcels.get": {"id": _PARCEL},
    "parcels.cancel": {"id": _PARCEL},
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
    "residents.verify": {**_OCCASION, "citizen": _CITIZEN},
    "residents.look_up": {**_OCCASION, "citizen": _CITIZEN, "fields": ["residents.basic"]},
    "enterprises.look_up": {
        "code": "0100000001",
        "purpose": "Đối chiếu doanh nghiệp nộp hồ sơ",
        "dossier_code": _CODE,
    },
    "papers.find": {
        **_OCCASION,
        "owner_id": "001099000001",
        "requester_id": "001099000001",
        "requester_name": "Nguyễn Văn Mẫu",
        "wanted": [{"code": "KQ.G15.000001"}],
    },
    "papers.fetch": {
        **_OCCASION,
        "lookup_id": "019bc0de-7000-7000-8000-000000000002",
        "paper_code": "KQ.G15.000001",
        "agency": "000.00.00.H38",
        "path": "/kho/2026/01/khai-sinh.pdf",
    },
    "payments.start": {
        "dossier_code": _CODE,
        "payer": {"name": "Nguyễn Văn Mẫu", "citizen_id": "001099000001"},
        "amount_vnd": 150000,
        "lines": [{"kind": "charge", "name": "Lệ phí đăng ký khai sinh", "amount_vnd": 150000}],
        "return_url": "https://mot-cua.example.vn/thanh-toan",
    },
    "parcels.book": {
        "dossier_code": _CODE,
        "direction": "deliver_result",
        "sender": {
            "name": "Trung tâm Phục vụ hành chính công",
            "phone": "0237000000",
            "address": "28 Đại lộ Lê Lợi",
            "province_code": "38",
            "commune_code": "14758",
        },
        "receiver": {
            "name": "Nguyễn Văn Mẫu",
            "phone": "0900000001",
            "address": "12 Lê Lợi",
            "province_code": "79",
            "old_province_code": "79",
            "old_district_code": "764",
        },
    },
    "payments.refund": {
        "amount_vnd": 150000,
        "reason": "Người dân rút hồ sơ trước khi giải quyết",
        "requested_by": "cb000123",
    },
}
