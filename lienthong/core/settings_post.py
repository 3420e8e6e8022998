"""The section `post` of the settings: parcels of dossiers (NA 22.2; contracts §8)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

_SHORTEST_SECRET = 20


class Post(BaseModel):
    """Parcels: dossiers collected at an address, results delivered, and who carries them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    carriers: tuple[str, ...] = Field(
        ("vnpost_hcc", "my_vnpost", "ems"),
        description="contracts that may carry parcels; the first that is enabled is taken where none is named",
    )
    pooled: tuple[str, ...] = Field(
        (), description="carriers that want a waybill number out of the imported pool with every order"
    )
    low_numbers: int = Field(100, ge=0, description="with so few free numbers left in a pool an alert is written")
    callback_secret: SecretStr | None = Field(
        None, description="last part of the address that carriers call: /callbacks/<contract>/<secret>"
    )
    retry_minutes: int = Field(5, ge=1, le=1_440, description="a lost answer is looked for after so long; doubles")
    unknown_hours: int = Field(
        24, ge=1, le=720, description="a booking of which nobody knows for so long is left to a person"
    )
    late_days: int = Field(5, ge=1, le=90, description="a parcel without an event for so long is late: an alert")
    lost_days: int = Field(
        15, ge=2, le=365, description="without an event for so long it counts as lost: an alert"
    )
    cod_days: int = Field(
        3, ge=1, le=90, description="delivered for so long without a word of the cash: left to a person"
    )
    pages: int = Field(200, ge=1, le=10_000, description="pages of a carrier's feed read in one round")

    @field_validator("callback_secret", mode="before")
    @classmethod
    def _nothing_is_none(cls, given: object) -> object:
        """Take an empty text for none."""
        return given or None

    @field_validator("callback_secret")
    @classmethod
    def _is_long(cls, given: SecretStr | None) -> SecretStr | None:
        """Refuse what could be guessed, or would not stand in an address as it is."""
        value = given.get_secret_value() if given else "x" * _SHORTEST_SECRET
        if len(value) < _SHORTEST_SECRET or not value.isascii() or not value.isalnum():
            raise ValueError(f"at least {_SHORTEST_SECRET} letters and digits")
        return given
