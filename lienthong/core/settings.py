"""What is set when a process starts: environment over a TOML file, secrets from files, unknown names refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from lienthong.core import (
    errors,
    settings_alerts,
    settings_console,
    settings_payments,
    settings_post,
    settings_tree,
)

_SECRET_WORDS = ("password", "secret", "token", "passphrase")


_TIMETABLE = {
    "procedure_sync": "15 1 * * *",
    "record_upkeep": "45 2 * * *",
    "keys_review": "30 6 * * *",
    "payments_watch": "*/5 * * * *",
    "parcels_watch": "*/10 * * * *",
    "reconcile_payments": "30 5 * * *",
    "maintenance": "* * * * *",
}


class Section(BaseModel):
    """A part of the settings; frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Database(Section):
    """Where the hub keeps what it knows."""

    url: str = Field("", description="sqlite in HOME when empty; postgresql://… for the full size")


class Redis(Section):
    """Shared limits and the queue of the full size."""

    url: str = Field("", description="empty: limits and worker in process; set: shared limits, Celery broker")


class Gateway(Section):
    """The door for callers."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    body_limit_bytes: int = Field(2_000_000, ge=1_000, description="larger bodies are refused with 413")
    depth_limit: int = Field(32, ge=2, le=500, description="deepest nesting of a JSON body")
    body_timeout_s: float = Field(30.0, gt=0, description="how long a body may take to arrive")
    trusted_proxies: tuple[str, ...] = Field((), description="addresses whose X-Forwarded-For is believed")
    callbacks_per_minute: int = Field(
        1200, ge=1, description="what one address may send to /callbacks in a minute, for each process"
    )
    certificate_file: Path | None = Field(None, description="TLS by the hub itself: its certificate chain, PEM")
    private_key_file: Path | None = Field(None, description="TLS by the hub itself: the key of the certificate")
    client_ca_file: Path | None = Field(None, description="who issues client certificates; callers may show one")

    @model_validator(mode="after")
    def _whole_tls(self) -> Gateway:
        """Refuse half of what TLS needs."""
        if (self.certificate_file is None) != (self.private_key_file is None):
            raise ValueError("certificate_file and private_key_file go together")
        if self.client_ca_file is not None and self.certificate_file is None:
            raise ValueError("client_ca_file needs certificate_file and private_key_file")
        return self


class Sandbox(Section):
    """The imitation national systems."""

    port: int = Field(8090, ge=0, le=65535)


class Agency(Section):
    """The province that runs this hub."""

    code: str = Field("", description="identifier of the province, e.g. 000.00.00.H38")
    name: str = ""


class Keys(Section):
    """API keys."""

    environment: Literal["live", "test"] = Field("test", description="stands in the key: lt_live_… or lt_test_…")
    longest_days: int = Field(366, ge=1, description="a key cannot be issued for longer")
    two_people: bool = Field(False, description="a key is issued by one person and approved by another")
    remind_days: tuple[PositiveInt, ...] = Field(
        (30, 14, 7, 1), description="days before a key ends, or must be confirmed, on which the hub reminds"
    )
    confirm_every_days: int = Field(
        365, ge=1, description="a key that nobody confirms for so long is switched off"
    )
    master_key: SecretStr | None = Field(None, description="64 hexadecimal characters; a file in HOME when absent")


Alternative = Annotated[
    str, StringConstraints(pattern=r"^(signature|certificate|token)(\+(signature|certificate|token))*$")
]


class Proof(Section):
    """What a call must prove beside its key."""

    required: dict[str, tuple[Alternative, ...]] = Field(
        default_factory=dict,
        description="operations, and for each the proofs of which one is enough; see docs/security.md",
    )
    public_url: str = Field(
        "", pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+)?$", description="how callers write the hub's address"
    )
    signature_age_s: int = Field(60, ge=5, le=900, description="a signature is accepted for so long")
    clock_skew_s: int = Field(5, ge=0, le=60, description="how far a caller's clock may be off")
    certificate_header: str = Field(
        "", description="header in which a trusted proxy passes the client certificate on, e.g. Client-Cert"
    )
    token_lifetime_s: int = Field(600, ge=30, le=900, description="how long a token lives")
    tokens_once: tuple[str, ...] = Field((), description="operations for which a token may be used once only")
    lgsp_door: bool = Field(False, description="accept lgspaccesstoken on /compat/lgsp: a risk")

    @field_validator("required", mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        """Read the form of the environment: `residents.*=signature|certificate; tokens.issue=signature`."""
        if not isinstance(given, str):
            return given
        pairs = (part.partition("=") for part in given.split(";") if part.strip())
        return {name.strip(): [word.strip() for word in said.split("|")] for name, _, said in pairs}


class Limits(Section):
    """How the limits of keys are counted."""

    in_flight: int = Field(256, ge=1, description="a key's requests at the same time, unless it states a cap")
    spike_share: float = Field(0.25, gt=0, le=1, description="derived spike guard: part of a minute in one second")
    spike_least: int = Field(1000, ge=1, description="the derived spike guard is never below this a second")
    gateways: int = Field(4, ge=1, le=64, description="processes that share the limits; each holds one part alone")
    answer_within_s: float = Field(0.015, gt=0, description="then a decision is taken on the own share")
    patience_s: float = Field(0.25, gt=0, description="the longest wait for Redis, where there is no share")
    grace_s: float = Field(900.0, gt=0, description="without Redis for longer: no operations on personal data")
    upstreams: str = Field(
        "", description="shared quotas, by semicolons: NAME=9000/day for residents.* reserve 500 of KEY"
    )


class Outbox(Section):
    """How messages are delivered."""

    max_concurrent: int = Field(64, ge=1, le=1000, description="calls in flight to one target, all workers")
    batch: int = Field(128, ge=1, le=2000, description="messages claimed at a time")
    lease_s: float = Field(30.0, ge=1, description="after this long without a sign of life a claim runs out")
    poll_s: float = Field(0.25, gt=0, description="how often a quiet outbox is looked at")
    retry_first_s: float = Field(1.0, gt=0)
    retry_longest_s: float = Field(900.0, gt=0)
    give_up_after_s: float = Field(3 * 86400.0, gt=0, description="then a message becomes a dead one")
    suspend_after: int = Field(8, ge=1, description="failures in a row that suspend a target")
    probe_first_s: float = Field(1.0, gt=0, description="first probe of a suspended target; then it doubles")
    probe_longest_s: float = Field(60.0, gt=0)


class Sync(Section):
    """The procedure sync."""

    source: str = Field("dvcqg_adapter", description="the contract that procedures come from")
    concurrency: int = Field(8, ge=1, le=64, description="details fetched at a time")
    batch: int = Field(100, ge=1, le=2000, description="records written in one transaction")
    smallest_share: float = Field(
        0.8, gt=0, le=1, description="a list smaller than this share of the last accepted one is held"
    )
    most_failures_share: float = Field(
        0.2, gt=0, le=1, description="more failed details than this share holds the run"
    )
    set_up_days: int = Field(3, ge=0, description="working days to set a procedure up (NA 14)")
    open_days: int = Field(5, ge=0, description="working days to check and open it (NA 14)")


class Dossiers(Section):
    """Dossier status push."""

    targets: tuple[str, ...] = Field(
        ("dvcqg_adapter",), min_length=1, description="contracts that are told of every change"
    )
    answer_days: int = Field(1, ge=0, description="working days to accept or answer an online dossier (HG 6.1a)")
    supplement_days: int = Field(30, ge=1, description="days a dossier may wait for papers (HG 5.5)")


class Residents(Section):
    """Looking residents up (HG 10)."""

    source: str = Field("population_c06", description="the contract that residents are looked up at")
    enterprises_source: str = Field("ngsp", description="the contract that enterprises are looked up at")
    assertion_age_s: int = Field(300, ge=30, le=900, description="longest life of an official's signed assertion")
    clock_skew_s: int = Field(30, ge=0, le=120, description="how far the clock of the signing system may be off")
    plain_officials: tuple[str, ...] = Field(
        (), description="ids of keys whose old systems may merely name the official: a risk, shown as one"
    )
    repeat_within_s: int = Field(
        600, ge=0, description="the same question for the same dossier within this time is marked as repeated"
    )


class Catalogues(Section):
    """The national shared catalogues (danh mục dùng chung)."""

    source: str = Field("ngsp", description="the contract that shared catalogues are read at")


class Documents(Section):
    """Stored papers of settled dossiers, and the signatures on them (HG 9.2, NA 10, 20.1)."""

    source: str = Field("dvcqg_store", description="the contract of the electronic data store")
    trust_folder: Path | None = Field(
        None, description="certificates (PEM, DER) of the authorities that are trusted"
    )
    most_bytes: int = Field(20_000_000, ge=1_000, description="largest file that is fetched")

    @field_validator("trust_folder", mode="before")
    @classmethod
    def _nothing_is_none(cls, given: Any) -> Any:
        """Take an empty name for none, not for the folder that the process happens to be in."""
        return given or None


class Soap(Section):
    """The SOAP door."""

    username_token_age_s: int = Field(300, ge=30, le=900, description="a UsernameToken is accepted for so long")
    clock_skew_s: int = Field(60, ge=0, le=300, description="how far a caller's clock may be off")


class Archive(Section):
    """How long the access record is kept, by kind; whole days are dropped."""

    hot_days: int = Field(3, ge=1, description="days kept in the database, today included; then in day files")
    personal_days: int = Field(730, ge=1, description="days that calls about a person are kept")
    calls_days: int = Field(730, ge=1, description="days that other calls are kept")
    outgoing_days: int = Field(365, ge=1, description="days that the hub's own calls to other systems are kept")
    counts_days: int = Field(3650, ge=1, description="days that the hourly counts are kept")


class Spool(Section):
    """Where the access record is written first."""

    grace_s: float = Field(
        10.0, ge=0, description="how long calls without personal data go on while the record cannot be written"
    )
    segment_bytes: int = Field(33_554_432, ge=65_536, description="a new file is begun at this size")


class Seals(Section):
    """Sealing of the access record, and who countersigns it."""

    every_s: float = Field(
        10.0,
        gt=0,
        le=50,
        description="so often what is new is sealed; a checkpoint comes every minute in any case",
    )
    witness_folder: str = Field("", description="a share on another machine, shown every checkpoint")
    witness_command: str = Field("", description="a command that gets each checkpoint as its input: mail, syslog")
    witness_url: str = Field("", description="a witness that speaks C2SP tlog-witness")
    witness_key: str = Field("", description="the witness's public key, as name+id+key; its signatures are kept")
    stamp_url: str = Field(
        "", description="a time stamp authority (RFC 3161) that stamps checkpoints; empty: none"
    )
    stamp_ca_file: Path | None = Field(None, description="the certificates by which its stamps are believed, PEM")
    stamp_every_s: float = Field(
        3600.0, ge=60, description="so often a checkpoint is stamped, and on each new day"
    )

    @model_validator(mode="after")
    def _whole_stamp(self) -> Seals:
        """Refuse stamps that nobody could check."""
        if bool(self.stamp_url) != (self.stamp_ca_file is not None):
            raise ValueError("stamp_url and stamp_ca_file go together")
        return self


class Logs(Section):
    """What the processes print."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    form: Literal["text", "json"] = "text"


class Settings(Section):
    """Everything that needs a deployment to change. What people change at run time is in the database."""

    home: Path = Field(Path("var"), description="embedded database, spool, keys of the hub")
    database: Database = Database()
    redis: Redis = Redis()
    gateway: Gateway = Gateway()
    console: settings_console.Console = settings_console.Console()
    sandbox: Sandbox = Sandbox()
    agency: Agency = Agency()
    keys: Keys = Keys()
    proof: Proof = Proof()
    limits: Limits = Limits()
    outbox: Outbox = Outbox()
    sync: Sync = Sync()
    dossiers: Dossiers = Dossiers()
    residents: Residents = Residents()
    catalogues: Catalogues = Catalogues()
    documents: Documents = Documents()
    soap: Soap = Soap()
    payments: settings_payments.Payments = settings_payments.Payments()
    post: settings_post.Post = settings_post.Post()
    archive: Archive = Archive()
    spool: Spool = Spool()
    seals: Seals = Seals()
    alerts: settings_alerts.Alerts = settings_alerts.Alerts()
    logs: Logs = Logs()
    holidays: Path | None = Field(None, description="a holiday file of the operator's, instead of ours")
    systems: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="one section a contract; its connector checks the names in it"
    )
    timetable: dict[str, str] = Field(
        default_factory=lambda: dict(_TIMETABLE),
        description="cron expressions in Vietnam time; empty = never",
    )

    @field_validator("timetable")
    @classmethod
    def _whole(cls, given: dict[str, str]) -> dict[str, str]:
        """Keep the jobs that are not named: setting one job's hour must not silently end another."""
        return {**_TIMETABLE, **given}

    @property
    def database_url(self) -> str:
        """The database in force: the one that is set, or the embedded one in HOME."""
        return self.database.url or f"sqlite+aiosqlite:///{self.home / 'lienthong.db'}"

    @property
    def is_full(self) -> bool:
        """Whether this is the full size: a Redis is set, so worker and beat are processes of their own."""
        return bool(self.redis.url)


def load(environ: Mapping[str, str], *, config: Path | None = None) -> Settings:
    """Read the settings once, when a process starts.

    Raises Misconfigured naming every unknown, missing or wrong name, and what to do about it.
    """
    tree = settings_tree.read(environ, config=config)
    try:
        return Settings.model_validate(tree)
    except ValidationError as exc:
        raise _misconfigured(exc) from exc


def _misconfigured(exc: ValidationError) -> errors.Misconfigured:
    lines_en, lines_vi = [], []
    for error in exc.errors(include_input=False, include_url=False):
        path = "__".join(str(part).upper() for part in error["loc"])
        if error["type"] == "extra_forbidden":
            lines_en.append(f"{settings_tree.PREFIX}{path} is not a setting of the hub")
            lines_vi.append(f"{settings_tree.PREFIX}{path} không phải là tên cấu hình của trục")
        else:
            lines_en.append(f"{settings_tree.PREFIX}{path}: {error['msg']}")
            lines_vi.append(f"{settings_tree.PREFIX}{path}: giá trị không hợp lệ ({error['msg']})")
    return errors.Misconfigured("; ".join(lines_en), detail_vi="; ".join(lines_vi))


def masked(settings: Settings) -> dict[str, Any]:
    """Give the settings in force with every secret masked, for `lienthong settings`."""
    return {name: _mask(name, value) for name, value in settings.model_dump(mode="json").items()}


def _mask(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {inner: _mask(inner, item) for inner, item in value.items()}
    if not isinstance(value, str) or not value:
        return value
    if name.endswith("url") and "@" in value:
        scheme, _, rest = value.partition("://")
        return f"{scheme}://***@{rest.rpartition('@')[2]}"
    if any(word in name for word in _SECRET_WORDS) or name.endswith("key"):
        return "***"
    return value
