"""What the public reference says around its tables, in Vietnamese and English."""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """The fixed words of the page in one language."""

    title: str
    intro: str
    other_language: str
    other_code: str
    contents: str
    skip: str
    filter: str
    keys: str
    keys_text: tuple[str, ...]
    limits: str
    limits_text: tuple[str, ...]
    headers: str
    statuses: str
    problems: str
    problems_text: str
    path_and_query: str
    body: str
    answer: str
    try_it: str
    copy: str
    copied: str
    field: str
    term: str
    kind: str
    required: str
    personal: str
    grant: str
    code: str
    sentence: str
    again: str
    again_yes: str
    again_no: str
    status: str
    national_code: str
    header: str
    meaning: str
    from_path: str


VI = Words(
    title="Liên thông – tài liệu API",
    intro="Mọi thao tác mà phần mềm của sở, ngành và cơ sở có thể gọi. Trả lời là JSON, UTF-8. "
    "Danh sách dùng limit và cursor; trang cuối có next_cursor là null.",
    other_language="English",
    other_code="en",
    contents="Mục lục",
    skip="Đến nội dung",
    filter="Lọc thao tác…",
    keys="Khoá API",
    keys_text=(
        "Đơn vị quản lý khoá cấp cho mỗi hệ thống một khoá; khoá chỉ hiện một lần khi cấp. "
        "Gửi khoá trong tiêu đề X-API-Key của mọi yêu cầu.",
        "Không đặt khoá trong địa chỉ: yêu cầu như vậy bị từ chối (400) và khoá phải được thu hồi.",
        "Khoá có dạng lt_live_… hoặc lt_test_…; sáu ký tự cuối là mã kiểm tra nên gõ nhầm sẽ bị nhận ra ngay.",
        "Thu hồi có hiệu lực trong vòng một giây.",
    ),
    limits="Hạn mức",
    limits_text=(
        "Giây, phút, giờ: không quá N yêu cầu trong bất kỳ khoảng nào dài như vậy. "
        "Ngày, tháng: theo lịch, giờ Việt Nam.",
        "Khi vượt: 429 kèm Retry-After; chờ đúng số giây đó thì được gọi tiếp.",
    ),
    headers="Tiêu đề",
    statuses="Trạng thái hồ sơ",
    problems="Mã lỗi",
    problems_text="Lỗi là application/problem+json (RFC 9457), ngôn ngữ theo Accept-Language. Từ đầu của mã cho "
    "biết phía nào phải xử lý: Client là bên gọi, Server.Remote là hệ thống bên ngoài, Server.Hub là trục. "
    "Khi cần hỗ trợ, hãy cho biết request_id.",
    path_and_query="Đường dẫn và tham số",
    body="Nội dung gửi",
    answer="Trả lời",
    try_it="Gọi thử",
    copy="Chép",
    copied="Đã chép",
    field="Trường",
    term="Thuật ngữ",
    kind="Kiểu",
    required="Bắt buộc",
    personal="có dữ liệu cá nhân",
    grant="Quyền gọi",
    code="Mã",
    sentence="Nghĩa là",
    again="Gọi lại",
    again_yes="nên",
    again_no="sửa trước",
    status="Trạng thái",
    national_code="Mã quốc gia",
    header="Tiêu đề",
    meaning="Ý nghĩa",
    from_path="Có thể bỏ {} trong nội dung: lấy từ đường dẫn.",
)

EN = Words(
    title="Liên thông – API reference",
    intro="Everything that the software of departments and communes may call. Answers are JSON, UTF-8. "
    "Lists take limit and cursor; on the last page next_cursor is null.",
    other_language="Tiếng Việt",
    other_code="vi",
    contents="Contents",
    skip="To the content",
    filter="Filter operations…",
    keys="API keys",
    keys_text=(
        "The unit that manages keys issues one for each system; it is shown once. "
        "Send it in the header X-API-Key of every request.",
        "Never put a key in the address: such a request is refused (400), and the key must be revoked.",
        "A key looks like lt_live_… or lt_test_…; its last six characters are a checksum, so that a typing "
        "mistake is noticed at once.",
        "A revocation holds within one second.",
    ),
    limits="Limits",
    limits_text=(
        "Second, minute, hour: at most N requests in any window of that length. "
        "Day, month: by the calendar, in Vietnam time.",
        "Beyond that: 429 with Retry-After; after that many seconds the next request passes.",
    ),
    headers="Headers",
    statuses="States of a dossier",
    problems="Error codes",
    problems_text="Errors are application/problem+json (RFC 9457); the language follows Accept-Language. "
    "The first word of the code says who must act: Client is the caller, Server.Remote another "
    "system, Server.Hub the hub. When asking for help, give the request_id.",
    path_and_query="Path and parameters",
    body="Body",
    answer="Answer",
    try_it="Try it",
    copy="Copy",
    copied="Copied",
    field="Field",
    term="Vietnamese term",
    kind="Type",
    required="Required",
    personal="holds personal data",
    grant="Grant",
    code="Code",
    sentence="Meaning",
    again="Again",
    again_yes="yes",
    again_no="change it first",
    status="State",
    national_code="National code",
    header="Header",
    meaning="Meaning",
    from_path="{} may be left out of the body: it is taken from the path.",
)

# Header → Vietnamese, English.
HEADERS: tuple[tuple[str, str, str], ...] = (
    ("X-API-Key", "Khoá API, trong mọi yêu cầu", "The API key, in every request"),
    (
        "X-Official-Assertion",
        "Xác nhận có chữ ký của hệ thống nơi cán bộ đăng nhập; khi tra cứu công dân và dùng lại giấy tờ, mỗi câu "
        "hỏi một xác nhận mới",
        "The signed assertion of the system where the official signed in; for residents and papers, a new one for "
        "each question",
    ),
    (
        "Accept-Language",
        "vi hoặc en: ngôn ngữ của câu báo lỗi",
        "vi or en: the language of error sentences",
    ),
    (
        "Idempotency-Key",
        "Với POST: gửi lại cùng giá trị và nội dung trong 24 giờ thì nhận lại câu trả lời đầu "
        "(Idempotent-Replayed: true); cùng giá trị, khác nội dung: 409",
        "On POST: the same value and content within 24 hours gets the first answer again "
        "(Idempotent-Replayed: true); the same value with other content: 409",
    ),
    (
        "X-Request-Id",
        "Trong trả lời: mã yêu cầu do trục đặt. Giá trị bên gọi gửi lên được trả lại ở X-Correlation-Id",
        "In the answer: the hub's number of the request. The caller's own comes back as X-Correlation-Id",
    ),
    (
        "RateLimit-Policy",
        'Các hạn mức của khoá: "minute";q=600;w=60 là 600 yêu cầu mỗi 60 giây',
        'The limits of the key: "minute";q=600;w=60 is 600 requests in 60 seconds',
    ),
    (
        "RateLimit",
        'Còn lại: "minute";r=599;t=60 là còn 599 yêu cầu, 60 giây nữa thì được thêm',
        'What is left: "minute";r=599;t=60 is 599 requests, and 60 seconds until there are more',
    ),
    ("Retry-After", "Chờ bao nhiêu giây rồi gọi lại", "How many seconds to wait before asking again"),
)
