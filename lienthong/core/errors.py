"""Every failure the hub can name: whose fault it is, and whether trying again helps.

    HubError
    ├── CallerError              the caller must change something
    │   ├── InvalidRequest       400  which fields, and why
    │   │   ├── BodyTooLarge     413
    │   │   ├── BodyTooSlow      408
    │   │   ├── BodyCutOff       400
    │   │   └── UnsupportedMedia 415
    │   ├── KeyRejected          401  unknown, expired and revoked are told apart only in the journal
    │   │   └── ProofRejected    401  signature, client certificate or token: missing, wrong or used before
    │   ├── NotGranted           403
    │   ├── NotFound             404
    │   ├── MethodNotAllowed     405
    │   ├── Conflict             409  same number, other content
    │   └── LimitExceeded        429  carries retry_after_s
    ├── RemoteError              another system failed; carries its name
    │   ├── RemoteUnavailable    503  retry
    │   ├── RemoteBusy           503  retry, carries retry_after_s
    │   ├── RemoteRefused        422  final
    │   ├── RemoteForbids        502  final until a person acts: credentials or address refused
    │   ├── RemoteGarbled        502  final, alert: an answer that cannot be read
    │   └── OutcomeUnknown       503  sent, no answer: look it up before sending again
    ├── MappingError             our dictionary is incomplete; alert
    │   ├── UnmappedCode         500
    │   └── UnmappedField        500
    └── HubFault                 our own defect or our own machines
        ├── Misconfigured        500  stops the start
        ├── NotOffered           501  this hub is not connected to what the operation needs
        ├── StorageUnavailable   503  retry
        ├── CapacityReduced      503  retry: limits are counted at reduced capacity
        └── InternalFault        500  a defect; the request id finds it in the log

The docstring's first line of a class is its English sentence, `vi` the same in Vietnamese. Facts travel as
keyword arguments; they are for the journal, never secrets or personal data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field of a request, in words for the person who sent it.

    `field` is the path as the caller spelled it (`applicant.citizen_id`), `vi` and `en` the sentences.
    """

    field: str
    vi: str
    en: str

    def as_json(self, language: str = "vi") -> dict[str, str]:
        """Give the problem in one language, as it stands in a problem answer."""
        return {"field": self.field, "detail": self.en if language == "en" else self.vi}


class HubError(Exception):
    """Something went wrong in the hub."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "Server.Hub"
    vi: ClassVar[str] = "Hệ thống gặp lỗi."
    retry: ClassVar[bool] = False
    alert: ClassVar[bool] = False

    def __init__(
        self,
        detail_en: str = "",
        *,
        detail_vi: str = "",
        problems: tuple[FieldProblem, ...] = (),
        retry_after_s: float | None = None,
        **facts: Any,
    ) -> None:
        self.detail_en = detail_en
        self.detail_vi = detail_vi
        self.problems = problems
        self.retry_after_s = retry_after_s
        self.facts = facts
        super().__init__(detail_en or self.sentence("en"))

    def sentence(self, language: str = "vi") -> str:
        """Say what happened in one sentence, in Vietnamese or English."""
        if language == "en":
            return (type(self).__doc__ or "").strip().splitlines()[0]
        return self.vi

    def detail(self, language: str = "vi") -> str:
        """Say what happened as exactly as the caller may know, falling back to the sentence."""
        chosen = self.detail_en if language == "en" else (self.detail_vi or self.detail_en)
        return chosen or self.sentence(language)

    def __str__(self) -> str:
        """Print the sentence and the facts as `key=value`, so that logs can be searched."""
        facts = " ".join(f"{name}={value!r}" for name, value in self.facts.items())
        wrong = " ".join(f"[{problem.field}: {problem.en}]" for problem in self.problems)
        return " ".join(part for part in (self.detail("en"), facts, wrong) if part)


class CallerError(HubError):
    """The request must be changed before it can be accepted."""

    status = 400
    code = "Client"
    vi = "Yêu cầu phải được sửa trước khi gửi lại."


class InvalidRequest(CallerError):
    """The request is not valid; each wrong field is named below."""

    status = 400
    code = "Client.InvalidRequest"
    vi = "Yêu cầu không hợp lệ; từng trường sai được nêu bên dưới."


class BodyTooLarge(InvalidRequest):
    """The body of the request is larger than the hub accepts."""

    status = 413
    code = "Client.BodyTooLarge"
    vi = "Nội dung yêu cầu lớn hơn mức hệ thống tiếp nhận."


class UnsupportedMedia(InvalidRequest):
    """The body is of a kind that this address does not take: see its Content-Type."""

    status = 415
    code = "Client.UnsupportedMedia"
    vi = "Kiểu nội dung (Content-Type) không phải kiểu mà địa chỉ này nhận."


class BodyTooSlow(InvalidRequest):
    """The body did not arrive in time."""

    status = 408
    code = "Client.BodyTooSlow"
    vi = "Nội dung yêu cầu không đến kịp trong thời gian cho phép."
    retry = True


class BodyCutOff(InvalidRequest):
    """The connection ended before the whole body had arrived."""

    code = "Client.BodyCutOff"
    vi = "Kết nối bị ngắt trước khi nhận đủ nội dung yêu cầu."
    retry = True


class KeyRejected(CallerError):
    """The API key is missing, wrong, expired or revoked."""

    status = 401
    code = "Client.KeyRejected"
    vi = "Khoá API bị thiếu, sai, hết hạn hoặc đã bị thu hồi."


class ProofRejected(KeyRejected):
    """The proof that goes with the API key is missing, wrong or was used before."""

    code = "Client.ProofRejected"
    vi = "Bằng chứng đi kèm khoá API bị thiếu, sai hoặc đã dùng rồi."


class NotGranted(CallerError):
    """This key has not been granted the operation."""

    status = 403
    code = "Client.NotGranted"
    vi = "Khoá API này chưa được cấp quyền gọi thao tác này."


class NotFound(CallerError):
    """What was asked for does not exist."""

    status = 404
    code = "Client.NotFound"
    vi = "Không tìm thấy nội dung được hỏi."


class MethodNotAllowed(CallerError):
    """This address exists but does not take this method."""

    status = 405
    code = "Client.MethodNotAllowed"
    vi = "Địa chỉ này không nhận phương thức này."


class Conflict(CallerError):
    """The same number was used before with other content."""

    status = 409
    code = "Client.Conflict"
    vi = "Số này đã được dùng trước đó với nội dung khác."


class LimitExceeded(CallerError):
    """The key has used up what it may call in this period; wait and try again."""

    status = 429
    code = "Client.LimitExceeded"
    vi = "Khoá API đã dùng hết hạn mức của khoảng thời gian này; hãy chờ rồi gọi lại."
    retry = True


class RemoteError(HubError):
    """Another system failed."""

    status = 502
    code = "Server.Remote"
    vi = "Hệ thống bên ngoài gặp lỗi."

    def __init__(self, detail_en: str = "", *, system: str = "", remote_code: str = "", **rest: Any) -> None:
        self.system = system
        self.remote_code = remote_code
        super().__init__(detail_en, **rest)
        self.facts = {"system": system, "remote_code": remote_code, **self.facts}


class RemoteUnavailable(RemoteError):
    """The other system cannot be reached or does not answer; it will be tried again."""

    status = 503
    code = "Server.Remote.Unavailable"
    vi = "Hệ thống bên ngoài không kết nối được hoặc không trả lời; sẽ được thử lại."
    retry = True


class RemoteBusy(RemoteError):
    """The other system asks to be called later."""

    status = 503
    code = "Server.Remote.Busy"
    vi = "Hệ thống bên ngoài yêu cầu gọi lại sau."
    retry = True


class RemoteRefused(RemoteError):
    """The other system understood the message and refused it."""

    status = 422
    code = "Server.Remote.Refused"
    vi = "Hệ thống bên ngoài đã đọc được và từ chối nội dung này."


class RemoteForbids(RemoteError):
    """The other system does not accept the hub's account or address; a person must act."""

    status = 502
    code = "Server.Remote.Forbids"
    vi = "Hệ thống bên ngoài không chấp nhận tài khoản hoặc địa chỉ của trục; cần cán bộ xử lý."
    alert = True


class RemoteGarbled(RemoteError):
    """The other system gave an answer that cannot be read."""

    status = 502
    code = "Server.Remote.Garbled"
    vi = "Hệ thống bên ngoài trả lời bằng nội dung không đọc được."
    alert = True


class OutcomeUnknown(RemoteError):
    """The message was sent but no answer came; it will be looked up before it is sent again."""

    status = 503
    code = "Server.Remote.OutcomeUnknown"
    vi = "Đã gửi đi nhưng không nhận được trả lời; sẽ tra lại trước khi gửi lần nữa."
    retry = True


class MappingError(HubError):
    """The hub's dictionary for another system is incomplete."""

    status = 500
    code = "Server.Hub.Mapping"
    vi = "Bảng ánh xạ với hệ thống bên ngoài còn thiếu."
    alert = True


class UnmappedCode(MappingError):
    """A code has no counterpart in the mapping file."""

    code = "Server.Hub.UnmappedCode"
    vi = "Có mã chưa được khai trong bảng ánh xạ."


class UnmappedField(MappingError):
    """A field has no place in the mapping file."""

    code = "Server.Hub.UnmappedField"
    vi = "Có trường chưa được khai trong bảng ánh xạ."


class HubFault(HubError):
    """The hub itself failed."""

    code = "Server.Hub"
    vi = "Trục liên thông gặp lỗi."


class Misconfigured(HubFault):
    """A setting is missing, unknown or wrong."""

    code = "Server.Hub.Misconfigured"
    vi = "Cấu hình thiếu, sai hoặc có tên không biết."


class NotOffered(HubFault):
    """This hub is not connected to the system that the operation needs."""

    status = 501
    code = "Server.Hub.NotOffered"
    vi = "Trục này chưa kết nối với hệ thống mà thao tác cần."


class StorageUnavailable(HubFault):
    """The hub's own storage does not answer; nothing was changed, try again."""

    status = 503
    code = "Server.Hub.Storage"
    vi = "Kho dữ liệu của trục không trả lời; chưa có gì thay đổi, hãy thử lại."
    retry = True


class CapacityReduced(HubFault):
    """The hub counts limits at reduced capacity for the moment and cannot take this request; try again."""

    status = 503
    code = "Server.Hub.CapacityReduced"
    vi = "Trục đang đếm hạn mức ở công suất giảm nên chưa nhận được yêu cầu này; hãy gọi lại sau."
    retry = True


class InternalFault(HubFault):
    """The hub met a defect of its own; the request id finds it in the log."""

    code = "Server.Hub.Internal"
    vi = "Trục gặp lỗi nội bộ; dùng mã yêu cầu để tra trong nhật ký."
