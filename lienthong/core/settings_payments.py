"""The section `payments` of the settings: who carries payments, how long each thing may take (NA 8, NT 8.4)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Payments(BaseModel):
    """Payments of dossiers (NA 8, NT 8.4)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    providers: tuple[str, ...] = Field(
        ("dvcqg_payment", "vnpay", "momo", "paygov", "keypay", "vietqr"),
        description="contracts that may carry payments; the first that is enabled is taken where none is named",
    )
    expiry_minutes: int = Field(30, ge=5, le=10_080, description="so long a payer may pay an attempt")
    silent_minutes: int = Field(15, ge=1, le=1_440, description="then the intermediary is asked how it stands")
    alert_hours: int = Field(24, ge=1, description="an attempt without an end for so long is an alert")
    two_people_above_vnd: int = Field(
        5_000_000, ge=0, description="above this, all refunds of a payment together, a second person must approve"
    )
    return_url: str = Field("", description="page for the payer afterwards, where the request names none")
    refund_wait_hours: int = Field(
        72, ge=1, description="a refund that was accepted and has no end for so long is left to a person"
    )
    statement_providers: tuple[str, ...] = Field(
        ("vietqr",), description="contracts whose payments are settled from an imported bank statement"
    )
    statement_wait_days: int = Field(
        3, ge=1, le=30, description="so long such a payment waits for its statement before it runs out"
    )
    statement_two_people: bool = Field(
        False, description="a statement that settles payments needs the approval of a second person"
    )
    statements_folder: str = Field(
        "", description="folder of statement files, one subfolder a contract, read by the daily reconciliation"
    )
