"""`lienthong journal seal|export|verify|countersign|forget-year`: the seals of the access record."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from lienthong.bus.hub import Hub
from lienthong.console.cli import context, output
from lienthong.core import clock, crypto, errors, journal, subjects
from lienthong.monitoring import (
    checkpoints,
    day_files,
    exports,
    log_check,
    merkle,
    seals,
    stamps,
    verification,
    witnesses,
)

_MOMENT_FORMS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%d/%m/%Y")
_BUSY_S = 3.0


def add_to(app: typer.Typer) -> None:
    """Add these commands to the group of the record."""
    app.command("seal")(seal)
    app.command("export")(export)
    app.command("verify")(verify)
    app.command("countersign")(countersign)
    app.command("forget-year")(forget_year)


def _days(hub: Hub) -> verification.Days:
    return verification.Days(day_files.Archive(hub.settings.home / "record"))


def seal(json: context.Json = False) -> None:
    """Niêm phong ngay và in điểm niêm phong, khoá công khai / seal now; prints checkpoint and public key."""

    async def work(hub: Hub) -> list[dict[str, Any]]:
        closing = asyncio.Event()
        # A running hub seals by itself and lets nobody else; then only what it sealed is shown.
        asyncio.get_running_loop().call_later(_BUSY_S, closing.set)
        home = hub.settings.home
        async with seals.opened(home, hub.storage, agency=hub.settings.agency.code, closing=closing) as sealer:
            if sealer is not None:
                await sealer.step(hub.now())
        return await asyncio.to_thread(_stated, home)

    rows = context.run(work, is_long=True)
    if json:
        output.as_json(rows)
        return
    columns = {"log": "Sổ", "number": "Điểm số", "size": "Bản ghi", "at": "Lúc", "key": "Khoá công khai"}
    output.table("Niêm phong / seals", columns, rows)


def _stated(home: Path) -> list[dict[str, Any]]:
    found = []
    for name in (seals.ACCESS, seals.ADMIN):
        report = log_check.Report()
        log = log_check.read_log(home, name, seals.signer(home).public, report)
        if report.findings:
            raise errors.StorageUnavailable(report.findings[0].where, detail_vi=report.findings[0].where)
        if log is not None:
            facts = {"log": name, "number": log.last.number, "size": log.last.size, "at": log.last.at}
            found.append({**facts, "root": log.last.root.hex(), "key": log.verifier.text})
    return found


def export(
    since: Annotated[
        datetime,
        typer.Option(
            "--from",
            formats=[*_MOMENT_FORMS],
            metavar=context.MOMENT,
            help="Từ lúc, giờ Việt Nam / from, Vietnam time.",
        ),
    ],
    until: Annotated[
        datetime, typer.Option("--to", formats=[*_MOMENT_FORMS], metavar=context.MOMENT, help="Trước lúc / until.")
    ],
    out: Annotated[Path, typer.Option("--out", file_okay=False, help="Thư mục mới / a new folder.")],
    reason: context.Reason = "",
    json: context.Json = False,
) -> None:
    """Xuất bản ghi kèm chứng cứ để kiểm tra ngoại tuyến / rows, proofs and checkpoints, to be checked offline."""

    async def work(hub: Hub) -> list[exports.Exported]:
        first, end = (each.replace(tzinfo=clock.VIETNAM) for each in (since, until))
        asked = {"from": first.isoformat(), "to": end.isoformat()}
        async with hub.storage.transaction() as tx:
            await journal.write_act(
                tx, "journal.export", out.name, actor=context.actor(), now=hub.now(), reason=reason, after=asked
            )
        return await exports.export(hub.settings.home, hub.storage, out, since=first, until=end, days=_days(hub))

    rows = [asdict(one) for one in context.run(work, is_long=True)]
    if json:
        output.as_json(rows)
    else:
        columns = {"log": "Sổ", "count": "Bản ghi", "first": "Từ lá", "size": "Trên tổng số"}
        output.table(f"Đã xuất ra {out} / exported", columns, rows)


def verify(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Thư mục đã xuất; bỏ trống là sổ của trục / an export; else the hub's own."),
    ] = None,
    key: Annotated[str, typer.Option("--key", help="Khoá công khai đã được trao / the key handed out.")] = "",
    witness: Annotated[
        Path | None, typer.Option("--witness", help="Thư mục của bên chứng giám / the witness's folder.")
    ] = None,
    json: context.Json = False,
) -> None:
    """Kiểm tra sổ của trục hoặc một bản xuất; kết thúc bằng 1 khi có sai khác / check the record or an export."""

    async def work(hub: Hub) -> log_check.Report:
        home = hub.settings.home
        public = checkpoints.verifier(key).public if key else None
        report = await verification.verify(home, hub.storage, agency_key=public, days=_days(hub))
        place = witness or hub.settings.seals.witness_folder
        if place:
            await asyncio.to_thread(verification.compare, home, Path(place), report)
        await asyncio.to_thread(_look_at_stamps, home, stamps.authority(hub.settings.seals), report)
        return report

    report = context.run(work, is_long=True) if folder is None else exports.check(folder, key=key or None)
    tell(report, json=json)
    if not report.holds:
        raise typer.Exit(1)


def _look_at_stamps(home: Path, who: stamps.Authority | None, report: log_check.Report) -> None:
    for name in (seals.ACCESS, seals.ADMIN):
        if not (home / "seals" / name / "verifier").exists():
            continue
        log = log_check.read_log(home, name, seals.signer(home).public, log_check.Report())
        if log is not None:
            stamps.look(home / "seals" / name, log.notes, who, report)


def tell(report: log_check.Report, *, json: bool) -> None:
    """Print what verifying found."""
    if json:
        output.as_json({**asdict(report), "holds": report.holds})
        return
    output.facts("Đã kiểm tra / checked", {**report.checked, **dict.fromkeys(report.notes, "")})
    if report.holds:
        output.console.print("Đúng như đã niêm phong / everything is as it was sealed")
        return
    rows = [asdict(one) for one in report.findings]
    columns = {"where": "Chỗ / where", "vi": "Sai khác", "en": "What"}
    output.table("KHÔNG khớp với niêm phong / does not hold", columns, rows)
    if report.more:
        output.console.print(f"… và {report.more} chỗ nữa / and {report.more} more")
    first = report.findings[0]
    output.problems.print(f"{first.where}: {first.vi} / {first.en}", markup=False)


def countersign(
    folder: Annotated[
        Path,
        typer.Argument(
            exists=True, file_okay=False, help="Thư mục mà trục đưa điểm tới / folder that the hub writes to."
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Tên bên chứng giám / the witness's name.")],
    key_file: Annotated[
        Path,
        typer.Option("--key-file", help="Tệp khoá riêng, được tạo nếu chưa có / private key, made where absent."),
    ],
) -> None:
    """Chạy ở máy bên chứng giám: ký xác nhận các điểm mới / run by the witness: countersign what is new."""

    def work() -> list[tuple[str, int]]:
        signer = crypto.Signer.from_seed(crypto.load_or_create_master(key_file, create=True))
        done = []
        try:
            for place in sorted(path.parent for path in folder.glob("*/verifier")):
                count = witnesses.countersign(place, name=name, signer=signer, now=clock.now())
                done.append((place.name, count))
        except (checkpoints.NotANote, merkle.DoesNotHold) as exc:
            raise errors.Conflict(
                f"{place.name}: {exc}; nothing more was signed", detail_vi=f"{place.name}: {exc}; đã dừng ký."
            ) from exc
        return [*done, (checkpoints.cosigner(name, signer).text, 0)]

    *signed, (own, _) = context.guarded(work)
    output.facts("Đã ký xác nhận / countersigned", {**dict(signed), "LIENTHONG_SEALS__WITNESS_KEY": own})


def forget_year(
    year: Annotated[int, typer.Argument(min=2000, max=2200, help="Năm đã qua / a year that is over.")],
    reason: Annotated[str, typer.Option("--reason", help="Lý do, số quyết định; bắt buộc / why; required.")],
) -> None:
    """Huỷ khoá băm số định danh của một năm, không lấy lại được / destroy a year's key of personal digests."""

    async def work(hub: Hub) -> bool:
        if year >= hub.now().year:
            raise errors.Conflict(
                f"{year} is not over yet", detail_vi=f"Năm {year} chưa kết thúc, chưa huỷ khoá được."
            )
        async with hub.storage.transaction() as tx:
            await journal.write_act(
                tx, "journal.forget_year", str(year), actor=context.actor(), now=hub.now(), reason=reason
            )
        return await asyncio.to_thread(subjects.Subjects(hub.settings.home).forget, year)

    done = context.run(work)
    said = "đã huỷ / destroyed" if done else "đã huỷ từ trước / had been destroyed before"
    output.console.print(f"Khoá của năm {year}: {said}")
