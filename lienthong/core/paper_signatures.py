"""Digital signatures on papers: who signed a PDF or XML file, and does the signature hold (NA 20.1).

A file is judged in a process of its own with bounded time and memory (`paper_checking`): it comes from outside.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from lienthong.core import crypto, errors

State = Literal["valid", "unsigned", "altered", "untrusted", "expired_or_revoked", "unreadable"]
Kind = Literal["pdf", "xml", "other"]

MOST_BYTES: Final = 32 * 1024 * 1024
LONGEST_S: Final = 30.0
_CERTIFICATES: Final = frozenset({".pem", ".crt", ".cer", ".der"})
_LISTS: Final = frozenset({".crl"})
_AT_A_TIME: Final = 2
_PROGRAM: Final = "lienthong.core.paper_checking"
BEGUN: Final = b"begun"

_waiting_room = concurrent.futures.ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="paper-signatures")


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed: the organisation that the certificate names, never the person; `serial` is hexadecimal.

    `signed_at` is a trusted timestamp where there is one, else what the signer's own clock said.
    """

    organisation: str
    serial: str
    signed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found; with several signatures, the worst of them decides."""

    state: State
    signers: tuple[Signer, ...]
    kind: Kind
    why_vi: str
    why_en: str


@dataclass(frozen=True, slots=True)
class Anchors:
    """The certificates (DER) that are trusted, and lists of revoked ones. Nothing is ever fetched."""

    certificates: tuple[bytes, ...] = ()
    revocations: tuple[bytes, ...] = ()

    @classmethod
    def load(cls, folder: Path | None) -> Anchors:
        """Read .pem, .crt, .cer, .der and .crl files of a folder; other files are left alone.

        Raises Misconfigured where the folder or one of these cannot be read. None: nobody is trusted.
        """
        certificates: list[bytes] = []
        revocations: list[bytes] = []
        try:
            files = sorted(folder.iterdir()) if folder is not None else []
            for file in files:
                if file.suffix.lower() in _CERTIFICATES:
                    certificates += crypto.read_certificates(file.read_bytes())
                elif file.suffix.lower() in _LISTS:
                    revocations.append(crypto.read_revocation_list(file.read_bytes()))
        except (OSError, ValueError) as error:
            name = file.name if isinstance(error, ValueError) else str(folder)
            raise errors.Misconfigured(
                f"a trust anchor cannot be read: {name}",
                detail_vi=f"Không đọc được tệp chứng thư tin cậy: {name}.",
                setting="documents.trust_folder",
            ) from error
        return cls(tuple(certificates), tuple(revocations))


async def check(content: bytes, *, anchors: Anchors, now: datetime) -> Verdict:
    """Judge the signatures of a file at a moment. Never raises for what the file holds.

    A certificate that has ended counts only where a trusted timestamp proves that the signature is older.
    """
    kind = kind_of(content)
    if kind == "other":
        return _verdict({"reason": "other"}, kind)
    if len(content) > MOST_BYTES:
        return _verdict({"reason": "too_large"}, kind)
    task = packed(content, kind=kind, anchors=anchors, now=now)
    loop = asyncio.get_running_loop()
    return _verdict(await loop.run_in_executor(_waiting_room, _judge, task), kind)


def kind_of(content: bytes) -> Kind:
    """Tell a PDF from XML by its first bytes."""
    start = content[:1024]
    if b"%PDF-" in start:
        return "pdf"
    for mark in (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"):
        start = start.removeprefix(mark)
    return "xml" if start.replace(b"\x00", b"").lstrip().startswith(b"<") else "other"


def packed(content: bytes, *, kind: Kind, anchors: Anchors, now: datetime) -> bytes:
    """Write a task for the other process: a line of JSON with sizes, then all the bytes one after the other."""
    parts = (content, *anchors.certificates, *anchors.revocations)
    head = {
        "kind": kind,
        "now": now.astimezone(UTC).isoformat(),
        "certificates": len(anchors.certificates),
        "sizes": [len(part) for part in parts],
    }
    return b"\n".join((orjson.dumps(head), b"".join(parts)))


def _judge(task: bytes) -> Mapping[str, Any]:
    """Run the other process. What it dies of the paper is to blame for; that it cannot begin is our own defect."""
    try:
        done = subprocess.run(  # noqa: S603  (our own interpreter, our own module)
            [sys.executable, "-I", "-m", _PROGRAM],
            input=task,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a traceback could quote the paper
            timeout=LONGEST_S,
            env={"PATH": os.defpath},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"reason": "too_heavy"}
    began, _, said = done.stdout.partition(b"\n")
    if began != BEGUN:
        raise errors.InternalFault(reason=f"checking of signatures cannot begin: {done.returncode}")
    if done.returncode:
        return {"reason": "too_heavy" if done.returncode < 0 else "broken"}
    found: dict[str, Any] = orjson.loads(said)
    return found


def _verdict(found: Mapping[str, Any], kind: Kind) -> Verdict:
    reason = found["reason"]
    state, why_vi, why_en = _REASONS[reason]
    signers = tuple(
        Signer(
            organisation=it["organisation"],
            serial=it["serial"],
            signed_at=datetime.fromisoformat(it["signed_at"]) if it["signed_at"] else None,
        )
        for it in found.get("signers", ())
    )
    return Verdict(state, signers, kind, why_vi, why_en)


_REASONS: dict[str, tuple[State, str, str]] = {
    "ok": (
        "valid",
        "Chữ ký số hợp lệ và bao trùm toàn bộ tệp.",
        "The digital signature holds and covers the whole file.",
    ),
    "unsigned": ("unsigned", "Tệp không có chữ ký số.", "The file carries no digital signature."),
    "altered": (
        "altered",
        "Nội dung đã bị thay đổi sau khi ký, hoặc chữ ký không phải của nội dung này.",
        "The content was changed after it was signed, or the signature is not of this content.",
    ),
    "added": (
        "altered",
        "Sau chữ ký cuối cùng, tệp còn bị ghi thêm nội dung không được ký.",
        "After the last signature something was added to the file that nobody signed.",
    ),
    "partial": (
        "altered",
        "Chữ ký không bao trùm toàn bộ nội dung của tệp.",
        "The signature does not cover all that the file says.",
    ),
    "ambiguous": (
        "altered",
        "Không xác định được chữ ký bao trùm phần nào của tệp.",
        "What the signature covers cannot be told.",
    ),
    "untrusted": (
        "untrusted",
        "Chứng thư của người ký không do tổ chức chứng thực được trục tin cậy cấp.",
        "The signer's certificate comes from no authority that the hub trusts.",
    ),
    "no_anchors": (
        "untrusted",
        "Trục chưa được cài chứng thư tin cậy nào nên chưa kết luận được về người ký.",
        "The hub has been given no trusted certificates, so the signer cannot be judged.",
    ),
    "weak": (
        "untrusted",
        "Chữ ký dùng thuật toán không còn an toàn.",
        "The signature uses an algorithm that is no longer safe.",
    ),
    "usage": (
        "untrusted",
        "Chứng thư của người ký không được cấp để ký số.",
        "The signer's certificate was not issued for signing.",
    ),
    "old_form": (
        "untrusted",
        "Chữ ký ở dạng cũ mà trục không kiểm tra.",
        "The signature is of an old form that the hub does not check.",
    ),
    "expired": (
        "expired_or_revoked",
        "Chứng thư của người ký đã hết hạn và không có dấu thời gian tin cậy chứng minh đã ký trước đó.",
        "The signer's certificate has ended, and no trusted timestamp proves that the signature is older.",
    ),
    "not_yet": (
        "expired_or_revoked",
        "Chứng thư của người ký chưa có hiệu lực.",
        "The signer's certificate is not valid yet.",
    ),
    "revoked": (
        "expired_or_revoked",
        "Chứng thư của người ký hoặc của tổ chức cấp đã bị thu hồi.",
        "The certificate of the signer, or of its issuer, has been revoked.",
    ),
    "broken": ("unreadable", "Không đọc được tệp.", "The file cannot be read."),
    "encrypted": (
        "unreadable",
        "Tệp bị đặt mật khẩu nên không kiểm tra được.",
        "The file is locked by a password and cannot be checked.",
    ),
    "form": (
        "unreadable",
        "Chữ ký ở dạng mà trục không kiểm tra được.",
        "The signature is of a form that the hub cannot check.",
    ),
    "too_large": (
        "unreadable",
        "Tệp lớn hơn mức trục kiểm tra.",
        "The file is larger than the hub checks.",
    ),
    "too_heavy": (
        "unreadable",
        "Kiểm tra tệp tốn quá nhiều thời gian hoặc bộ nhớ nên đã dừng.",
        "Checking the file took too much time or memory and was stopped.",
    ),
    "other": (
        "unreadable",
        "Tệp không phải PDF hay XML nên trục không kiểm tra được chữ ký.",
        "The file is neither PDF nor XML, so the hub cannot check signatures on it.",
    ),
}
