"""`lienthong keys proof`: what is registered for a key beside its secret, and what its calls must prove."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lienthong.api_keys import key_store, proof_register, soap_passwords
from lienthong.bus.hub import Hub
from lienthong.console.cli import context, output
from lienthong.core import errors

app = typer.Typer(no_args_is_help=True, help="Bằng chứng đi kèm khoá / proofs that go with a key.")

Name = Annotated[str, typer.Argument(help="Mã hoặc phần đầu của khoá / id or prefix of the key.")]


class Kind(StrEnum):
    """What a public key is registered for."""

    SIGNATURE = "signature"
    ASSERTION = proof_register.ASSERTION


_COLUMNS = {
    "id": "Số (keyid)",
    "kind": "Loại",
    "name": "Tên",
    "algorithm": "Cách kiểm tra",
    "thumbprint": "Dấu vân tay SHA-256",
    "valid_until": "Chứng thư đến",
    "added_by": "Người đăng ký",
}


@app.command()
def add(
    name: Name,
    reason: context.Reason,
    public_key: Annotated[
        Path | None,
        typer.Option(help="Tệp khoá công khai PEM (Ed25519, ECDSA P-256) / public key.", dir_okay=False),
    ] = None,
    kind: Annotated[
        Kind, typer.Option(help="Dùng để / for: signature (ký yêu cầu, requests), assertion (cán bộ, officials).")
    ] = Kind.SIGNATURE,
    certificate: Annotated[
        Path | None, typer.Option(help="Tệp chứng thư PEM hoặc DER / client certificate.", dir_okay=False)
    ] = None,
    by_public_key: Annotated[
        bool, typer.Option("--by-public-key", help="Nhận mọi chứng thư cùng khoá công khai / bind the key pair.")
    ] = False,
    label: Annotated[str, typer.Option(help="Tên gợi nhớ, ví dụ máy chủ 1 / a name for it.")] = "",
    json: context.Json = False,
) -> None:
    """Đăng ký khoá công khai hoặc chứng thư cho một khoá / register a public key or a certificate."""
    if (public_key is None) == (certificate is None):
        raise typer.BadParameter("Nêu đúng một trong hai: --public-key hoặc --certificate / give exactly one.")
    if kind is Kind.ASSERTION and public_key is None:
        raise typer.BadParameter("assertion cần --public-key / assertion needs --public-key.")

    async def work(hub: Hub) -> proof_register.Proof:
        facts = {"label": label, "reason": reason, "actor": context.actor()}
        if public_key is not None:
            pem = _read(public_key)
            return await proof_register.add_public_key(
                hub.storage, name, pem, now=hub.now(), kind=kind.value, **facts
            )
        assert certificate is not None  # noqa: S101 - one of the two is there, see above
        encoded = _read(certificate)
        return await proof_register.add_certificate(
            hub.storage, name, encoded, by_public_key=by_public_key, now=hub.now(), **facts
        )

    added = context.run(work)
    if json:
        output.as_json(added.as_json())
        return
    output.facts("Đã đăng ký / registered", {heading: added.as_json()[name] for name, heading in _COLUMNS.items()})
    if added.kind == "signature":
        output.console.print(f'Đặt keyid="{added.id}" trong chữ ký / put this keyid into each signature.')
    if added.kind == proof_register.ASSERTION:
        output.console.print(
            f'Đặt kid="{added.id}" trong phần đầu của xác nhận / put this kid into each assertion.'
        )


@app.command()
def password(
    name: Name,
    reason: context.Reason,
    label: Annotated[str, typer.Option(help="Tên gợi nhớ / a name for it.")] = "",
    json: context.Json = False,
) -> None:
    """Tạo mật khẩu SOAP cho UsernameToken dạng digest / make a password for digests of UsernameToken."""

    async def work(hub: Hub) -> tuple[proof_register.Proof, str]:
        return await soap_passwords.add(
            hub.storage, hub.vault, name, label=label, reason=reason, actor=context.actor(), now=hub.now()
        )

    made, text = context.run(work)
    if json:
        output.as_json({**made.as_json(), "password": text})
        return
    output.console.print(f"Mật khẩu chỉ hiện một lần / shown once: [bold]{text}[/bold]")
    output.console.print(f"Gỡ bằng / remove with: lienthong keys proof remove {made.id}")


@app.command("list")
def listed(name: Name, json: context.Json = False) -> None:
    """Liệt kê những gì đã đăng ký cho một khoá / list what is registered for a key."""

    async def work(hub: Hub) -> proof_register.Holding:
        key = await key_store.show(hub.storage, name)
        return await proof_register.read(hub.storage, key.id)

    holding = context.run(work)
    rows = [proof.as_json() for proof in holding.proofs]
    if json:
        output.as_json({"required": sorted(holding.required), "proofs": rows})
        return
    output.table("Bằng chứng đã đăng ký / registered proofs", _COLUMNS, rows)
    said = " | ".join(sorted(holding.required)) or "theo từng thao tác / as each operation asks"
    output.console.print(f"Mọi lượt gọi phải có / every call must carry: {said}")


@app.command()
def remove(
    number: Annotated[str, typer.Argument(help="Số của bằng chứng, xem `list` / number of the proof.")],
    reason: context.Reason,
    json: context.Json = False,
) -> None:
    """Gỡ một bằng chứng, có hiệu lực trong một giây / remove a proof, effective within a second."""

    async def work(hub: Hub) -> proof_register.Proof:
        return await proof_register.remove(
            hub.storage, number, reason=reason, actor=context.actor(), now=hub.now()
        )

    removed = context.run(work)
    if json:
        output.as_json(removed.as_json())
    else:
        output.console.print(f"Đã gỡ / removed: {removed.kind} {removed.id}")


@app.command()
def require(
    name: Name,
    proofs: Annotated[
        str, typer.Argument(help="signature, certificate, token; | là hoặc, + là và; none để bỏ / to end it.")
    ],
    reason: context.Reason,
    json: context.Json = False,
) -> None:
    """Đòi mọi lượt gọi bằng khoá này phải có bằng chứng / demand a proof with every call of this key."""
    wanted = [] if proofs.strip() == "none" else [part.strip() for part in proofs.split("|")]

    async def work(hub: Hub) -> tuple[frozenset[str], proof_register.Holding]:
        now, actor = hub.now(), context.actor()
        required = await proof_register.require(hub.storage, name, wanted, reason=reason, actor=actor, now=now)
        key = await key_store.show(hub.storage, name)
        return required, await proof_register.read(hub.storage, key.id)

    required, holding = context.run(work)
    if json:
        output.as_json({"required": sorted(required)})
        return
    output.console.print(f"Mọi lượt gọi phải có / every call must carry: {' | '.join(sorted(required)) or '–'}")
    if required and not any(all(holding.has(kind) for kind in one.split("+")) for one in required):
        output.console.print(
            "[bold]Khoá này chưa đăng ký gì phù hợp nên mọi lượt gọi sẽ bị từ chối; dùng `keys proof "
            "add`.[/bold]\n[dim]Nothing that would do is registered: every call is refused until `keys proof "
            "add`.[/dim]"
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()[:100_000]
    except OSError as exc:
        raise errors.InvalidRequest(
            f"The file {path} cannot be read: {exc.strerror}.",
            detail_vi=f"Không đọc được tệp {path}: {exc.strerror}.",
        ) from exc
