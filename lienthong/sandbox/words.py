"""The words of the human page, Vietnamese and English."""

from __future__ import annotations

VI, EN = "vi", "en"

_WORDS: dict[str, tuple[str, str]] = {
    "title": ("Hệ thống quốc gia giả lập", "Imitation national systems"),
    "subtitle": ("Chỉ để thử, không có dữ liệu thật", "For testing only, no real data"),
    "other_language": ("English", "Tiếng Việt"),
    "catalogue": ("Danh mục", "Catalogue"),
    "procedures": ("thủ tục", "procedures"),
    "received": ("Lượt gọi", "Calls"),
    "accepted": ("nhận", "accepted"),
    "refused": ("từ chối", "refused"),
    "duplicate": ("trùng", "duplicate"),
    "fault": ("lỗi giả lập", "imitated fault"),
    "read": ("đọc", "read"),
    "login": ("đăng nhập", "login"),
    "session": ("hết phiên", "session expired"),
    "dossiers": ("Hồ sơ", "Dossiers"),
    "steps": ("Bước xử lý", "Steps"),
    "moods": ("Tình huống đang bật", "Moods in force"),
    "good_weather": (
        "Ngày đẹp trời: mọi hệ thống trả lời bình thường.",
        "Good weather: every system answers normally.",
    ),
    "switch_off": ("Tắt", "Switch off"),
    "all_off": ("Tắt hết", "All off"),
    "switch_on": ("Bật", "Switch on"),
    "new_mood": ("Bật tình huống", "Switch a mood on"),
    "mood": ("Tình huống", "Mood"),
    "system": ("Hệ thống", "System"),
    "every_system": ("mọi hệ thống", "all of them"),
    "probability": ("Xác suất", "Probability"),
    "count": ("Số lượt", "Calls"),
    "until_s": ("Giây", "Seconds"),
    "params": ("Tham số", "Parameters"),
    "quick": ("Nhanh", "Quick"),
    "time": ("Giờ", "Time"),
    "service": ("Dịch vụ", "Service"),
    "dossier": ("Hồ sơ", "Dossier"),
    "status": ("Trạng thái", "Status"),
    "outcome": ("Kết quả", "Outcome"),
    "took_effect": ("đã ghi", "took effect"),
    "filter": ("Lọc", "Filter"),
    "clear_filter": ("Bỏ lọc", "Clear"),
    "all": ("tất cả", "all"),
    "arrived": ("Đã nhận, mới nhất trước", "Received, newest first"),
    "nothing_yet": (
        "Chưa nhận gì. Gọi /dvcqg_adapter/mapi/login, /population_c06/… hay hệ thống khác để thấy ở đây.",
        "Nothing yet. Call /dvcqg_adapter/mapi/login, /population_c06/… or another system to see it here.",
    ),
    "nothing_found": ("Không có lượt gọi nào khớp bộ lọc.", "No call matches the filter."),
    "older": ("Cũ hơn", "Older"),
    "newer": ("Mới hơn", "Newer"),
    "call": ("Lượt gọi", "Call"),
    "close": ("Đóng", "Close"),
    "shown_of": ("trong", "of"),
    "reset": ("Xoá những gì đã nhận", "Forget what was received"),
    "left": ("còn", "left"),
    "touched": ("đã dùng", "applied"),
}

STATUSES: dict[str, tuple[str, str]] = {
    "1": ("Mới đăng ký", "Submitted"),
    "2": ("Được tiếp nhận", "Received"),
    "3": ("Không được tiếp nhận", "Rejected"),
    "4": ("Đang xử lý", "Processing"),
    "5": ("Yêu cầu bổ sung", "Supplement requested"),
    "6": ("Yêu cầu nộp phí", "Payment requested"),
    "7": ("Yêu cầu rút", "Withdrawal requested"),
    "8": ("Dừng xử lý", "Stopped"),
    "9": ("Đã xử lý xong", "Finished"),
    "10": ("Đã trả kết quả", "Returned"),
}

QUICK: tuple[tuple[str, str, tuple[str, str]], ...] = (
    ("good", "good", ("Bình thường", "Good")),
    ("slow", "slow:latency_ms=800,jitter_ms=400", ("Chậm", "Slow")),
    ("maintenance", "maintenance:retry_after_s=30", ("Bảo trì", "Maintenance")),
    ("outage", "outage:kind=close", ("Ngừng", "Outage")),
    ("lost_answer", "lost_answer:probability=0.2", ("Mất trả lời 20%", "Lost answers 20%")),
    ("expired_session", "expired_session:every=10", ("Phiên hết hạn", "Expired sessions")),
    ("storm", "storm:probability=0.2", ("Bão 20%", "Storm 20%")),
)


def word(key: str, lang: str) -> str:
    """Return a word of the page in one of its two languages."""
    pair = _WORDS.get(key)
    return key if pair is None else pair[lang == EN]


def status_word(code: str, lang: str) -> str:
    """Return the words of a national status code."""
    pair = STATUSES.get(code)
    return code if pair is None else f"{code} {pair[lang == EN]}"
