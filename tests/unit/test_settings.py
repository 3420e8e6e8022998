"""What is set when a process starts, and what stops it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from lienthong.core import errors, settings, settings_tree

PASSWORD = "mat-khau-rat-bi-mat"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def toml(text: str, name: str = "lienthong.toml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def refusal(environ: dict[str, str], config: Path | None = None) -> errors.Misconfigured:
    with pytest.raises(errors.Misconfigured) as caught:
        settings.load(environ, config=config)
    return caught.value


def test_nothing_set_is_the_embedded_size() -> None:
    chosen = settings.load({})
    assert not chosen.is_full
    assert chosen.database_url == "sqlite+aiosqlite:///var/lienthong.db"


def test_the_environment_stands_over_the_file() -> None:
    toml("[gateway]\nport = 1111\nhost = '127.0.0.2'\n")
    chosen = settings.load({"LIENTHONG_GATEWAY__PORT": "2222", "PATH": "/bin", "GATEWAY__PORT": "3"})
    assert (chosen.gateway.port, chosen.gateway.host) == (2222, "127.0.0.2")


def test_the_file_may_be_named_by_the_environment_or_by_the_caller() -> None:
    toml("[agency]\ncode = 'A'", "a.toml")
    toml("[agency]\ncode = 'B'", "b.toml")
    environ = {"LIENTHONG_CONFIG": "a.toml"}
    assert settings.load(environ).agency.code == "A"
    assert settings.load(environ, config=Path("b.toml")).agency.code == "B"


def test_a_secret_may_lie_in_a_file() -> None:
    Path("password").write_text(PASSWORD + "\n", encoding="utf-8")
    Path("key").write_text("0" * 64, encoding="utf-8")
    toml("[keys]\nmaster_key_file = 'key'")
    chosen = settings.load({"LIENTHONG_SYSTEMS__DVCQG_ADAPTER__PASSWORD_FILE": "password"})
    assert chosen.systems["dvcqg_adapter"] == {"password": PASSWORD}
    assert chosen.keys.master_key is not None
    assert chosen.keys.master_key.get_secret_value() == "0" * 64


def test_certificates_are_files_and_stay_files() -> None:
    names = ("ca_file", "certificate_file", "private_key_file")
    environ = {f"LIENTHONG_SYSTEMS__DVCQG_ADAPTER__{name.upper()}": "khong-co.pem" for name in names}
    section = settings.load(environ).systems["dvcqg_adapter"]
    assert section == dict.fromkeys(names, "khong-co.pem")


def test_a_missing_secret_file_stops_the_start_naming_it() -> None:
    found = refusal({"LIENTHONG_DATABASE__URL_FILE": "khong-co"})
    for language in ("vi", "en"):
        assert "url_file" in found.detail(language)
        assert "khong-co" in found.detail(language)


def test_lists_come_as_one_text_or_as_a_list() -> None:
    toml("[gateway]\ntrusted_proxies = ['10.0.0.1']")
    chosen = settings.load({"LIENTHONG_DOSSIERS__TARGETS": "dvcqg_adapter, dvcqg_portal,"})
    assert chosen.dossiers.targets == ("dvcqg_adapter", "dvcqg_portal")
    assert chosen.gateway.trusted_proxies == ("10.0.0.1",)


@pytest.mark.parametrize("language", ["vi", "en"])
def test_unknown_names_stop_the_start_and_all_are_named(language: str) -> None:
    toml("[outbox]\nlease = 3\n")
    told = refusal({"LIENTHONG_GATEWAY__PROT": "1", "LIENTHONG_NHAM": "2"}).detail(language)
    for name in ("LIENTHONG_GATEWAY__PROT", "LIENTHONG_NHAM", "LIENTHONG_OUTBOX__LEASE"):
        assert name in told


@pytest.mark.parametrize("language", ["vi", "en"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LIENTHONG_GATEWAY__PORT", "cổng"),
        ("LIENTHONG_OUTBOX__LEASE_S", "0"),
        ("LIENTHONG_LOGS__FORM", "xml"),
        ("LIENTHONG_SYNC__SMALLEST_SHARE", "80"),
    ],
)
def test_a_wrong_value_stops_the_start_with_its_name(name: str, value: str, language: str) -> None:
    assert name in refusal({name: value}).detail(language)


def test_the_sentence_about_a_wrong_value_is_vietnamese_first() -> None:
    found = refusal({"LIENTHONG_GATEWAY__PORT": "cổng"})
    assert "giá trị không hợp lệ" in found.detail("vi")
    assert found.sentence("vi").startswith("Cấu hình")


@pytest.mark.parametrize("language", ["vi", "en"])
def test_an_error_never_repeats_a_secret(language: str) -> None:
    found = refusal({"LIENTHONG_KEYS__MASTER_KEYS": PASSWORD, "LIENTHONG_REDIS__PORT": PASSWORD})
    assert PASSWORD not in found.detail(language)


def test_a_value_where_a_section_should_be_is_named() -> None:
    toml("gateway = 'x'")
    assert "LIENTHONG_GATEWAY__PORT" in refusal({"LIENTHONG_GATEWAY__PORT": "1"}).detail("vi")


@pytest.mark.parametrize("text", ["[gateway", "a = 1\na = 2", "\ud800"])
def test_a_file_that_cannot_be_read_stops_the_start(text: str) -> None:
    Path("lienthong.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert "lienthong.toml" in refusal({}).detail("vi")


def test_a_file_that_was_asked_for_must_exist() -> None:
    assert "khong-co.toml" in refusal({"LIENTHONG_CONFIG": "khong-co.toml"}).detail("vi")


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings.load({}).gateway.port = 1


def test_what_is_shown_holds_no_secret() -> None:
    chosen = settings.load(
        {
            "LIENTHONG_DATABASE__URL": f"postgresql://hub:{PASSWORD}@db:5432/hub",
            "LIENTHONG_REDIS__URL": f"redis://:{PASSWORD}@redis:6379/0",
            "LIENTHONG_KEYS__MASTER_KEY": PASSWORD,
            "LIENTHONG_SYSTEMS__DVCQG_ADAPTER__PASSWORD": PASSWORD,
            "LIENTHONG_SYSTEMS__VNPAY__HASH_SECRET": PASSWORD,
            "LIENTHONG_SYSTEMS__NDXP__CONSUMER_KEY": PASSWORD,
            "LIENTHONG_SYSTEMS__DVCQG_ADAPTER__USERNAME": "tinh-h38",
        }
    )
    shown = settings.masked(chosen)
    assert PASSWORD not in str(shown)
    assert shown["database"]["url"] == "postgresql://***@db:5432/hub"
    assert shown["systems"]["dvcqg_adapter"]["username"] == "tinh-h38"


def test_the_file_of_a_carriers_places_was_taken_for_a_secret_in_a_file(tmp_path: Path) -> None:
    places = tmp_path / "places.csv"
    places.write_text("level,code,number\n")
    chosen = settings.load({"LIENTHONG_SYSTEMS__EMS__PLACES_FILE": str(places)})
    assert chosen.systems["ems"]["places_file"] == str(places)


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"LIENTHONG_GATEWAY": "x"}, "LIENTHONG_GATEWAY"),
        ({"LIENTHONG_CONFIG": "."}, "cannot be read"),
        ({"LIENTHONG_KEYS__MASTER_KEY_FILE": "not-text"}, "not-text"),
    ],
)
def test_what_cannot_be_read_ended_the_start_with_a_trace(environ: dict[str, str], named: str) -> None:
    Path("not-text").write_bytes(b"\xd0\xd0")
    assert named in str(refusal(environ))


def test_a_setting_that_is_a_file_was_taken_for_a_file_that_holds_the_setting() -> None:
    place = str(Path("ca.pem").resolve())
    Path(place).write_text("-----BEGIN CERTIFICATE-----")
    sections = {name: field.annotation for name, field in settings.Settings.model_fields.items()}
    files = [
        (section, name)
        for section, kind in sections.items()
        if isinstance(kind, type) and issubclass(kind, BaseModel)
        for name in kind.model_fields
        if name.endswith("_file")
    ]
    tree = settings_tree.read(
        {f"LIENTHONG_{section}__{name}".upper(): place for section, name in files}, config=None
    )
    assert len(files) >= 5
    assert [tree[section].get(name) for section, name in files] == [place] * len(files)
