"""One's own account: password, second step, sessions; and the lists that one keeps."""

from __future__ import annotations

from datetime import timedelta

from starlette.responses import Response

from lienthong.api_keys import acts
from lienthong.connectors import bank_qr
from lienthong.console.accounts import passkeys, passwords, register, second_step, sessions, sign_in, views
from lienthong.console.web.routing import Routes
from lienthong.console.web.visit import Visit
from lienthong.core import errors

routes = Routes()
_SEAL = "desk-second-step"


@routes.page("own")
async def show(visit: Visit) -> Response:
    """Show one's account."""
    return await _own(visit)


async def _own(visit: Visit, wrong: errors.InvalidRequest | None = None) -> Response:
    idle = timedelta(minutes=visit.hub.settings.console.idle_minutes)
    found = await sessions.listed(visit.hub.storage, visit.who.id, now=visit.now, idle=idle)
    found.sort(key=lambda it: visit.session is None or it.id != visit.session.id)
    held = await passkeys.listed(visit.hub.storage, visit.who.id)
    return visit.page(
        "own.html",
        status=wrong.status if wrong else 200,
        wrong=_told(visit, wrong) if wrong else [],
        sessions=found,
        passkeys=held,
        shortest=passwords.SHORTEST,
        days=visit.hub.settings.console.password_days,
    )


def _told(visit: Visit, wrong: errors.InvalidRequest) -> list[dict[str, str]]:
    language = visit.words.language
    return [it.as_json(language) for it in wrong.problems] or [{"detail": wrong.detail(language)}]


@routes.act("own.password")
async def change_password(visit: Visit) -> Response:
    """Change one's password: the old one is asked for, other sessions end. What was wrong is told at the form."""
    try:
        await _change_password(visit)
    except errors.InvalidRequest as exc:
        return await _own(visit, wrong=exc)
    return visit.go("own", said="own.password_changed")


async def _change_password(visit: Visit) -> None:
    old, new, again = (str(visit.form.get(name) or "") for name in ("old", "new", "again"))
    if new != again:
        problem = errors.FieldProblem("again", "Hai lần gõ mật khẩu mới khác nhau.", "The two new ones differ.")
        raise errors.InvalidRequest(problems=(problem,))
    await must_know(visit, old)
    if new == old:
        problem = errors.FieldProblem(
            "new", "Mật khẩu mới phải khác mật khẩu cũ.", "The new password must be another."
        )
        raise errors.InvalidRequest(problems=(problem,))
    act = acts.Act("accounts.password", visit.who.name, visit.now, "own password")
    await register.set_password(visit.hub.storage, visit.who.id, new, by_owner=True, act=act)
    await end_others(visit)


async def must_know(visit: Visit, password: str, *, code: str | None = None) -> None:
    """Insist that whoever sits there knows the password; a browser left open is not enough."""
    await sign_in.must_know(visit.hub, visit.who, password, visit.browser, code=code)


async def end_others(visit: Visit) -> None:
    """End the other sessions of this person."""
    await sessions.revoke(
        visit.hub.storage,
        visit.who.id,
        by=visit.who.name,
        now=visit.now,
        but=visit.session.id if visit.session else None,
    )


@routes.page("own.second_step")
async def second(visit: Visit) -> Response:
    """Show a new secret as a QR code. It travels sealed in the form: nothing is stored before it is proved."""
    begun = second_step.begin(visit.who.name, visit.hub.settings.agency.name)
    return _second(visit, begun)


def _second(visit: Visit, begun: second_step.Begun) -> Response:
    picture = bank_qr.svg(begun.address, scale=4).decode()
    held = visit.hub.vault.seal(begun.secret.encode(), purpose=f"{_SEAL}/{visit.who.id}").hex()
    spaced = " ".join(begun.secret[at : at + 4] for at in range(0, len(begun.secret), 4))
    return visit.page(
        "second_step.html",
        picture=picture[picture.index("<svg") :],
        address=begun.address,
        secret=spaced,
        held=held,
    )


@routes.act("own.second_step.set")
async def set_second(visit: Visit) -> Response:
    """Put the second step in force; recovery codes are shown here, once."""
    try:
        held = bytes.fromhex(visit.text("held"))
        secret = visit.hub.vault.open(held, purpose=f"{_SEAL}/{visit.who.id}").decode()
    except (ValueError, errors.StorageUnavailable) as exc:
        raise errors.InvalidRequest(
            "the secret is not of this page; begin again", detail_vi="Biểu mẫu đã cũ; hãy làm lại từ đầu."
        ) from exc
    if visit.who.has_password:
        # Or a stolen session with the password would be enough to put another telephone in the place of one's own.
        present = visit.text("present")[:60] if visit.who.has_second_step else None
        await must_know(visit, str(visit.form.get("password") or ""), code=present)
    act = acts.Act("accounts.second_step", visit.who.name, visit.now, "own second step")
    codes = await second_step.set_up(
        visit.hub.storage, visit.hub.vault, visit.who.id, secret=secret, code=visit.text("code"), act=act
    )
    await end_others(visit)
    return visit.page("recovery.html", codes=codes)


@routes.act("own.sessions.end")
async def end_sessions(visit: Visit) -> Response:
    """End one of one's sessions, or all the others."""
    wanted = visit.text("session")
    if wanted:
        await sessions.revoke(visit.hub.storage, visit.who.id, by=visit.who.name, now=visit.now, only=wanted)
    else:
        await end_others(visit)
    return visit.go("own", said="own.sessions_ended")


@routes.act("views.save")
async def save_view(visit: Visit) -> Response:
    """Keep the list as it is under a name."""
    place = visit.text("place")
    if not visit.may(place):
        raise errors.NotFound()
    await views.save(
        visit.hub.storage,
        visit.who.id,
        place=place,
        name=visit.text("name"),
        query=visit.text("query"),
        now=visit.now,
    )
    return visit.go("overview", to=visit.text("to"), said="frame.view_saved")


@routes.act("views.drop")
async def drop_view(visit: Visit) -> Response:
    """Forget a kept list."""
    await views.drop(visit.hub.storage, visit.who.id, visit.text("view"))
    return visit.go("overview", to=visit.text("to"), said="frame.view_dropped")
