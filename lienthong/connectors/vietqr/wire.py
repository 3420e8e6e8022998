"""The text of a code: the same for the connector and the command line, so it stands in `connectors/bank_qr.py`."""

from __future__ import annotations

from lienthong.connectors import bank_qr

SYSTEM = bank_qr.SYSTEM
Code = bank_qr.BankCode
text_of = bank_qr.text_of
