"""The trial's intermediaries and carriers: settings for the sandbox, and where the sandbox calls back."""

from __future__ import annotations

import secrets
from pathlib import Path

from lienthong.core import settings

# The sandbox's own accounts, printed in its README; they open nothing but the sandbox.
_ACCOUNTS: dict[str, dict[str, str]] = {
    "VNPAY": {"TMN_CODE": "LGSPDEMO", "HASH_SECRET": "LGSPTESTSECRET0123456789ABCDEFGH"},
    "MOMO": {"PARTNER_CODE": "LGSPDEMO", "ACCESS_KEY": "AKDEMO", "SECRET_KEY": "MOMOSECRET"},
    "DVCQG_PAYMENT": {
        "PARTNER_CODE": "LGSPDEMO",
        "SECRET_KEY": "PP_TEST_SECRET_2026",
        "INIT_PATH": "/api",
        "UNIT_CODE": "H38.15",
        "UNIT_NAME": "Sở Thử nghiệm",
        "ACCOUNT": "0000000001",
        "ACCOUNT_BANK": "VCB",
        "ACCOUNT_HOLDER": "So Thu nghiem",
        "CALLBACK_ADDRESSES": "127.0.0.1",
    },
    "KEYPAY": {
        "CLIENT_ID": "LGSPDEMO",
        "REQUEST_KEY": "KPKEY1",
        "CALLBACK_KEY": "KPKEY2",
        "CREATE_PATH": "/create",
        "QUERY_PATH": "/query",
        "REFUND_PATH": "/refund",
    },
    "PAYGOV": {
        "PARTNER_CODE": "PAYGOV-DEMO",
        "ACCESS_KEY": "PGACCESS",
        "SECRET_KEY": "PGSECRET",
        "SERVICE_CODE": "DVC",
        "PAY_PATH": "/pay",
        "RECEIPT_PATH": "/receipt",
        "CALLBACK_CHECK": "lgsp",
        "LGSP_TOKEN_PATH": "/token",
        "LGSP_ACCESS_KEY": "AK123",
        "LGSP_SECRET_KEY": "SK456",
        "LGSP_APP_NAME": "LGSP-DEMO",
    },
    "VIETQR": {
        "BANK_BIN": "970415",
        "ACCOUNT": "1234567890",
        "REFERENCE_KEY": "thu-nghiem-khong-phai-bi-mat-0001",
    },
    "VNPOST_HCC": {
        "CUSTOMER_KEY": "demoCustomerKey",
        "SECRET_KEY": "demoCustomerSecret",
        "CUSTOMER_CODE": "H56HCC01",
        "ORDER_NUMBER": "parcel",
        "PLACE_NUMBERS": "postal",
    },
    "MY_VNPOST": {
        "USERNAME": "demo-vnpost",
        "PASSWORD": "demo-vnpost-password",
        "TRACK_PATH": "/orders/{id}",
    },
    "EMS": {"MERCHANT_TOKEN": "demo-ems-token"},
}
_CARRIERS = ("VNPOST_HCC", "MY_VNPOST", "EMS")
_CALLED_AT = {
    "vnpay": "ipn",
    "momo": "ipn",
    "dvcqg_payment": "dpnhankqthanhtoanhs",
    "keypay": "result",
    "paygov": "result",
}
# Numbers that an operator would have from the post; one invented district, so that a parcel finds its way.
_PLACES = "level,code,number\ndistrict,001,1001\n"


def environment(base: str) -> dict[str, str]:
    """Give the settings of the imitated intermediaries and carriers; payers come back to the sandbox's page."""
    found = {"LIENTHONG_PAYMENTS__RETURN_URL": f"{base}/"}
    for name, section in _ACCOUNTS.items():
        at = f"{base}/{name.lower()}"
        given = {"ENABLED": "true", "BASE_URL": at, **section}
        if name == "VNPAY":
            given["PAY_URL"] = f"{at}/paymentv2/vpcpay.html"
            given["API_URL"] = f"{at}/merchant_webapi/api/transaction"
        found |= {f"LIENTHONG_SYSTEMS__{name}__{key}": value for key, value in given.items()}
    return found


def files(home: Path) -> dict[str, str]:
    """Write what carriers need as files, once, and give the settings that name them."""
    places, secret = home / "post-places.csv", home / "callback.secret"
    if not places.exists():
        places.write_text(_PLACES, encoding="utf-8")
    if not secret.exists():
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_hex(16), encoding="utf-8")
    named = {f"LIENTHONG_SYSTEMS__{name}__PLACES_FILE": str(places.resolve()) for name in _CARRIERS}
    return {**named, "LIENTHONG_POST__CALLBACK_SECRET": secret.read_text(encoding="utf-8").strip()}


def callbacks(chosen: settings.Settings) -> dict[str, str]:
    """Give where the sandbox is to call the hub, by system."""
    base = f"http://127.0.0.1:{chosen.gateway.port}/callbacks"
    found = {name: f"{base}/{name}/{last}" for name, last in _CALLED_AT.items()}
    secret = chosen.post.callback_secret
    return found | ({"ems": f"{base}/ems/{secret.get_secret_value()}"} if secret else {})


def called_at(chosen: settings.Settings) -> dict[str, str]:
    """Give the setting by which MoMo is told where to call: it wants the address with every payment."""
    return {"LIENTHONG_SYSTEMS__MOMO__CALLBACK_URL": callbacks(chosen)["momo"]}
