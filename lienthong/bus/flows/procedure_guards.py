"""When a list of procedures may be believed: what a half-empty answer or a broken source looks like. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from lienthong.bus.flows.sync_runs import Hold
from lienthong.core import records, settings

# A list that repeats more rows than this share was not paged right.
MOST_DUPLICATES_SHARE = 0.1
# So few failures or repetitions say nothing of the source as a whole.
A_FEW = 5


def distinct(
    rows: Iterable[records.ListedProcedure],
) -> tuple[dict[str, records.ListedProcedure], list[records.ListedProcedure]]:
    """Give one row for each code, and the rows that others stand for.

    The code without the blanks around it is the key. Of several rows, the one whose code came clean stands, else
    the first in the source's order.
    """
    chosen: dict[str, records.ListedProcedure] = {}
    repeated: list[records.ListedProcedure] = []
    for row in rows:
        code = row.code.strip()
        held = chosen.get(code)
        if held is None:
            chosen[code] = row
        elif held.code != code and row.code == code:
            chosen[code] = row
            repeated.append(held)
        else:
            repeated.append(row)
    return chosen, repeated


def check_list(
    *,
    listed: Mapping[str, records.ListedProcedure],
    duplicates: int,
    active: Collection[str],
    last_accepted: int | None,
    chosen: settings.Sync,
    accept_smaller: bool,
) -> Hold | None:
    """Say why a list must not be applied, or nothing.

    Compared with the last list that was taken whole, and with the procedures now held as active, because a list
    of the right length may still be another one.
    """
    count = len(listed)
    if not count:
        return Hold(
            "Nguồn trả danh sách rỗng; không có thủ tục nào bị thay đổi.",
            "The source gave an empty list; nothing was changed.",
            {"listed": 0},
        )
    if accept_smaller:
        return None
    share = f"{chosen.smallest_share:.0%}"
    if last_accepted and count < last_accepted * chosen.smallest_share:
        return Hold(
            f"Danh sách chỉ có {count} thủ tục, lần được chấp nhận trước có {last_accepted} (ngưỡng {share}); "
            "không thủ tục nào bị thay đổi hay bãi bỏ.",
            f"The list has only {count} procedures, the last accepted one had {last_accepted} (bound {share}); "
            "nothing was changed or withdrawn.",
            {"listed": count, "last_accepted": last_accepted},
        )
    missing = sum(code not in listed for code in active)
    if missing > len(active) * (1 - chosen.smallest_share):
        return Hold(
            f"Danh sách thiếu {missing} trong {len(active)} thủ tục đang hiệu lực (ngưỡng {share} phải còn); "
            "không thủ tục nào bị thay đổi hay bãi bỏ.",
            f"The list lacks {missing} of {len(active)} active procedures (bound {share} must stay); "
            "nothing was changed or withdrawn.",
            {"listed": count, "missing": missing, "active": len(active)},
        )
    if duplicates > max(A_FEW, (count + duplicates) * MOST_DUPLICATES_SHARE):
        return Hold(
            f"Danh sách lặp {duplicates} trên {count + duplicates} dòng; không thủ tục nào bị thay đổi, bãi bỏ.",
            f"The list repeats {duplicates} of {count + duplicates} rows; nothing was changed or withdrawn.",
            {"listed": count, "duplicates": duplicates},
        )
    return None


def check_failures(*, failed: int, fetched: int, chosen: settings.Sync) -> Hold | None:
    """Say why a run whose details failed must withdraw nothing; what it has fetched stays."""
    if failed <= max(A_FEW, fetched * chosen.most_failures_share):
        return None
    return Hold(
        f"Không đọc được {failed} trên {fetched} thủ tục phải lấy; phần đã lấy được giữ lại, "
        "không thủ tục nào bị bãi bỏ.",
        f"{failed} of {fetched} procedures to be fetched could not be read; what was fetched is kept, "
        "nothing was withdrawn.",
        {"failed": failed, "fetched": fetched},
    )
