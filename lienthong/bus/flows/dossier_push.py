"""The second half of the dossier story: what a promised change looks like, and how it is told to a receiver."""

from __future__ import annotations

from lienthong.bus import outbox
from lienthong.bus.hub import Hub
from lienthong.connectors import roles
from lienthong.core import records

OPERATION = "dossier_status"


def pack(snapshot: records.DossierSnapshot, step: records.ProgressStep | None) -> bytes:
    """Write what a message of the outbox holds: the dossier after the change, and the step if there is one."""
    said = step.model_dump_json().encode() if step else b"null"
    return b'{"snapshot":%b,"step":%b}' % (snapshot.model_dump_json().encode(), said)


class _Payload(records.Record):
    snapshot: records.DossierSnapshot
    step: records.ProgressStep | None

    @property
    def is_late(self) -> bool:
        """Whether the step tells of something older than the dossier's present status."""
        return self.step is not None and self.step.change.status is not self.snapshot.status


async def _push(
    receiver: roles.DossierReceiver, payload: _Payload, message: outbox.Claimed, *, known: bool
) -> records.Receipt:
    return await receiver.put_dossier(
        payload.snapshot, known=known, look_first=message.look_first, message_id=message.id
    )


async def deliver(hub: Hub, message: outbox.Claimed) -> records.Receipt:
    """Push one message: first the dossier as it stood after the change, then the step (contracts §3.3).

    After a late step the dossier is pushed once more, so that its present status is what the receiver heard last.

    What was acknowledged is noted on the message at once, so that a later try goes on from there.
    """
    payload = _Payload.model_validate_json(hub.vault.open(message.payload, purpose=outbox.SEAL))
    receiver: roles.DossierReceiver = hub.system(message.target)
    receipt = records.Receipt()
    if message.steps_done < 1:
        receipt = await _push(receiver, payload, message, known=not message.first_of_lane)
        message.steps_done = 1
    if payload.step is not None and message.steps_done < 2:
        receipt = await receiver.append_progress(payload.step, message_id=message.id)
        message.steps_done = 2
    if payload.is_late and message.steps_done < 3:
        # A receiver that takes a dossier's status from the step it got last would now hold an old one.
        receipt = await _push(receiver, payload, message, known=True)
        message.steps_done = 3
    return receipt
