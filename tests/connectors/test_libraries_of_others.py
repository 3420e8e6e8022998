"""Libraries that we did not write: `vnpay` and `vietnam-qr-pay` of npm agree with us, in both directions."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from payment_stage import REFERENCE, Stage, got, order

from lienthong.connectors import bank_qr
from lienthong.connectors.vnpay import auth

pytestmark = pytest.mark.long

SECRET = "LGSPTESTSECRET0123456789ABCDEFGH"
INFOS = (
    "Thanh toan ho so H56.14-260115-0001",
    "Lệ phí hộ tịch: 8.000 đồng",
    'Nộp phí "thẩm định" 100% (a) !$\'*~',
    "a&b=c d+e/?#@;,:[]",
    "dấu tổ hợp a\u0301, emoji 🙂",
)
PROGRAM = r"""
const { VNPay } = require("vnpay");
const { QRPay } = require("vietnam-qr-pay");
const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
const shop = new VNPay({ tmnCode: "LGSPDEMO", secureSecret: asked.secret, vnpayHost: "https://pay.example.vn",
  testMode: true, hashAlgorithm: "SHA512", enableLog: false });
const answer = { urls: [], verdicts: [], codes: [] };
for (const info of asked.infos) answer.urls.push(shop.buildPaymentUrl({
  vnp_Amount: 150000, vnp_IpAddr: "203.0.113.10", vnp_TxnRef: asked.reference, vnp_OrderInfo: info,
  vnp_OrderType: "other",
  vnp_ReturnUrl: "https://lgsp.example.vn/payment/return?x=1&y=2" }));
for (const query of asked.queries) {
  const verdict = shop.verifyIpnCall(Object.fromEntries(new URLSearchParams(query)));
  answer.verdicts.push([verdict.isVerified, verdict.isSuccess]);
}
for (const text of asked.codes) {
  const code = new QRPay(text);
  answer.codes.push([code.isValid, code.consumer?.bankBin, code.consumer?.bankNumber, code.amount,
    code.additionalData?.purpose]);
}
console.log(JSON.stringify(answer));
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both libraries, or a skip that says why there is none."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("npm and node are not here")
    found = tmp_path_factory.mktemp("npm")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(found)]
    try:
        subprocess.run(
            [*command, "vnpay@2.5.0", "vietnam-qr-pay@1.5.1"], check=True, timeout=180, capture_output=True
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm cannot install the libraries here: {type(error).__name__}")
    (found / "ask.cjs").write_text(PROGRAM)
    return found


def ask(folder: Path, **asked: Any) -> dict[str, Any]:
    told = {"secret": SECRET, "reference": REFERENCE, "infos": [], "queries": [], "codes": [], **asked}
    done = subprocess.run(
        ["node", "ask.cjs"],
        cwd=folder,
        input=json.dumps(told),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def shop(secret: str = SECRET) -> Any:
    return Stage(
        "vnpay", tmn_code="LGSPDEMO", hash_secret=secret, pay_url="https://pay.example.vn", base_url="https://x.vn"
    ).connector


def ipn(info: str, secret: str = SECRET) -> str:
    fields = {
        "vnp_Amount": "15000000",
        "vnp_BankCode": "NCB",
        "vnp_OrderInfo": info,
        "vnp_PayDate": "20260115093412",
        "vnp_ResponseCode": "00",
        "vnp_TmnCode": "LGSPDEMO",
        "vnp_TransactionNo": "14012345",
        "vnp_TransactionStatus": "00",
        "vnp_TxnRef": REFERENCE,
    }
    text = auth.form(fields)
    return f"{text}&vnp_SecureHash={auth.sign(text, secret)}"


def test_what_the_library_signs_we_sign_alike(folder: Path) -> None:
    for url in ask(folder, infos=INFOS)["urls"]:
        query = urllib.parse.urlsplit(url).query
        fields = dict(urllib.parse.parse_qsl(query, strict_parsing=True))
        signature = fields.pop("vnp_SecureHash")
        assert auth.sign(auth.form(fields), SECRET) == signature


async def test_what_we_sign_the_library_verifies_and_what_is_spoiled_neither_does(folder: Path) -> None:
    started = await shop().start(order())
    good = [ipn(info) for info in INFOS] + [started.pay_url.partition("?")[2]]
    bad = [ipn(INFOS[0], SECRET + " "), good[0].replace("15000000", "15000100"), good[0].replace("NCB", "ncb")]
    verdicts = ask(folder, queries=good + bad)["verdicts"]
    assert [it[0] for it in verdicts] == [True] * len(good) + [False] * len(bad)
    for query in good[:-1]:
        assert shop().read_callback(got(query)).state == "paid"


def test_a_second_implementation_reads_our_codes(folder: Path) -> None:
    codes = [
        bank_qr.BankCode("970415", "1234567890", amount_vnd=150_000, note=REFERENCE, is_dynamic=True),
        bank_qr.BankCode(
            "970436", "0011001932418", amount_vnd=1, note="a.b-c d/25 letters.......", is_dynamic=True
        ),
        bank_qr.BankCode("970403", "19", note="khong co so tien"),
    ]
    texts = [bank_qr.text_of(code) for code in codes]
    spoiled = texts[0].replace("150000", "150001")
    read = ask(folder, codes=[*texts, spoiled])["codes"]
    for code, (is_valid, bank, account, amount, note) in zip(codes, read, strict=False):
        assert (is_valid, bank, account, note) == (True, code.bank, code.account, code.note)
        assert amount == (str(code.amount_vnd) if code.amount_vnd else None)
    assert read[-1][0] is False
