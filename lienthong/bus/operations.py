"""What callers may ask, declared once: doors, grants, limits, documents and reference are read from this table."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from lienthong.api_keys import tokens
from lienthong.bus import operation_places, operations_money
from lienthong.bus.flows import (
    dossier_reading,
    dossier_status,
    dossier_views,
    enterprise_lookup,
    paper_reuse,
    procedure_catalogue,
    resident_lookup,
    resident_views,
    shared_catalogue,
    token_issue,
)
from lienthong.bus.hub import Hub
from lienthong.bus.operation_shape import Asked as Asked
from lienthong.bus.operation_shape import Call as Call
from lienthong.bus.operation_shape import Operation as Operation
from lienthong.core import records


class VersionQuery(BaseModel):
    """Which version of a procedure is wanted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int | None = Field(None, ge=1, le=1_000_000, description="Phiên bản; bỏ trống là bản mới nhất")


async def _list_procedures(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await procedure_catalogue.list_procedures(hub, asked.query)


async def _get_procedure(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await procedure_catalogue.get_procedure(hub, asked.path["code"], version=asked.query.version)


async def _list_versions(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await procedure_catalogue.list_versions(hub, asked.path["code"])


async def _put_dossier(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await dossier_status.put(hub, asked.body, caller=call.caller, request_id=call.request_id)


async def _get_dossier(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await dossier_reading.get(hub, asked.path["code"], caller=call.caller)


async def _timeline(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await dossier_reading.timeline(hub, asked.path["code"], caller=call.caller)


async def _report_status(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await dossier_status.report(
        hub, asked.path["code"], asked.body, caller=call.caller, request_id=call.request_id
    )


async def _get_message(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await dossier_reading.message(hub, asked.path["id"], caller=call.caller)


async def _enquire(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await dossier_reading.enquire(hub, asked.path["code"])


def _asking(call: Call, operation: str) -> resident_lookup.Asking:
    return resident_lookup.Asking(
        call.caller,
        call.request_id,
        call.language,
        operation,
        call.assertion,
        call.claimed_official,
        call.told,
    )


async def _verify_resident(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await resident_lookup.verify(hub, asked.body, _asking(call, "residents.verify"))


async def _look_up_resident(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await resident_lookup.look_up(hub, asked.body, _asking(call, "residents.look_up"))


async def _look_up_enterprise(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await enterprise_lookup.look_up(hub, asked.body, _asking(call, "enterprises.look_up"))


async def _list_catalogues(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return shared_catalogue.names(hub)


async def _get_catalogue(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await shared_catalogue.read(hub, asked.path["code"], request_id=call.request_id, told=call.told)


async def _find_papers(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await paper_reuse.find(hub, asked.body, _asking(call, "papers.find"))


async def _fetch_paper(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return await paper_reuse.fetch(hub, asked.body, _asking(call, "papers.fetch"))


async def _issue_token(hub: Hub, call: Call, asked: Asked) -> BaseModel:
    return token_issue.issue(hub, caller=call.caller, proven=call.proven, now=call.now)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "procedures.list",
        "GET",
        "/v1/procedures",
        "Tìm thủ tục hành chính, không cần gõ dấu",
        "Search the procedures; diacritics are not needed",
        procedure_catalogue.ProcedurePage,
        _list_procedures,
        personal=False,
        query=procedure_catalogue.ProcedureQuery,
    ),
    Operation(
        "procedures.get",
        "GET",
        "/v1/procedures/{code}",
        "Xem một thủ tục như đã công bố",
        "Read one procedure as published",
        procedure_catalogue.ProcedureView,
        _get_procedure,
        personal=False,
        place=operation_places.ProcedurePath,
        query=VersionQuery,
    ),
    Operation(
        "procedures.versions",
        "GET",
        "/v1/procedures/{code}/versions",
        "Xem các phiên bản của một thủ tục và nội dung thay đổi",
        "Read the versions of a procedure and what each changed",
        procedure_catalogue.VersionList,
        _list_versions,
        personal=False,
        place=operation_places.ProcedurePath,
    ),
    Operation(
        "dossiers.put",
        "PUT",
        "/v1/dossiers/{code}",
        "Khai hồ sơ mới, hoặc thay nội dung hồ sơ đã khai",
        "Declare a dossier, or replace what was declared",
        dossier_views.DossierView,
        _put_dossier,
        personal=True,
        place=operation_places.DossierPath,
        body=records.Dossier,
        created=201,
        from_path=("code",),
    ),
    Operation(
        "dossiers.get",
        "GET",
        "/v1/dossiers/{code}",
        "Xem hồ sơ và trạng thái hiện tại",
        "Read a dossier and its present status",
        dossier_views.DossierView,
        _get_dossier,
        personal=True,
        place=operation_places.DossierPath,
    ),
    Operation(
        "dossiers.timeline",
        "GET",
        "/v1/dossiers/{code}/timeline",
        "Xem mọi lần cập nhật của hồ sơ và việc gửi tới từng hệ thống",
        "Read every change of a dossier, and its delivery to each system",
        dossier_views.Timeline,
        _timeline,
        personal=True,
        place=operation_places.DossierPath,
    ),
    Operation(
        "dossiers.report_status",
        "POST",
        "/v1/dossiers/{code}/status",
        "Cập nhật tiến độ xử lý hồ sơ; trục sẽ gửi lên Cổng Dịch vụ công quốc gia",
        "Report a change of status; the hub passes it on to the National Public Service Portal",
        dossier_views.Accepted,
        _report_status,
        personal=True,
        place=operation_places.DossierPath,
        body=records.StatusChange,
        success=202,
    ),
    Operation(
        "messages.get",
        "GET",
        "/v1/messages/{id}",
        "Theo dõi một thông điệp đã giao cho trục",
        "Follow a message that the hub has taken",
        dossier_views.MessageView,
        _get_message,
        personal=False,
        place=operation_places.MessagePath,
    ),
    Operation(
        "enquiries.get",
        "GET",
        "/v1/enquiries/{code}",
        "Tra cứu công khai trạng thái hồ sơ, không có dữ liệu cá nhân",
        "The public status of a dossier, without personal data",
        dossier_views.EnquiryView,
        _enquire,
        personal=False,
        place=operation_places.DossierPath,
    ),
    Operation(
        "residents.verify",
        "POST",
        "/v1/residents/verify",
        "Xác thực thông tin công dân với Cơ sở dữ liệu quốc gia về dân cư",
        "Verify a resident with the national population database",
        resident_views.VerifyAnswer,
        _verify_resident,
        personal=True,
        body=resident_views.VerifyRequest,
        keeps_answer=False,
        needs_official=True,
    ),
    Operation(
        "residents.look_up",
        "POST",
        "/v1/residents/look-up",
        "Tra cứu thông tin công dân cho một hồ sơ đang giải quyết",
        "Look a resident up for an open dossier",
        resident_views.LookUpAnswer,
        _look_up_resident,
        personal=True,
        body=resident_views.LookUpRequest,
        keeps_answer=False,
        needs_official=True,
    ),
    Operation(
        "enterprises.look_up",
        "POST",
        "/v1/enterprises/look-up",
        "Tra cứu doanh nghiệp theo mã số",
        "Look an enterprise up by its code",
        resident_views.EnterpriseAnswer,
        _look_up_enterprise,
        personal=True,
        body=resident_views.EnterpriseRequest,
        keeps_answer=False,
    ),
    Operation(
        "catalogues.list",
        "GET",
        "/v1/catalogues",
        "Xem tên các danh mục dùng chung quốc gia đọc được qua trục",
        "List the national shared catalogues that can be read here",
        shared_catalogue.CatalogueNames,
        _list_catalogues,
        personal=False,
        needs_outside=True,
    ),
    Operation(
        "catalogues.get",
        "GET",
        "/v1/catalogues/{code}",
        "Đọc một danh mục dùng chung quốc gia, hỏi mới mỗi lần",
        "Read one national shared catalogue, asked afresh each time",
        shared_catalogue.Catalogue,
        _get_catalogue,
        personal=False,
        place=operation_places.CataloguePath,
        needs_outside=True,
    ),
    Operation(
        "papers.find",
        "POST",
        "/v1/papers/find",
        "Tìm giấy tờ kết quả trong kho dữ liệu điện tử của công dân cho một hồ sơ",
        "Look for result papers in the electronic data store of a citizen, for a dossier",
        resident_views.PapersAnswer,
        _find_papers,
        personal=True,
        body=resident_views.PaperRequest,
        keeps_answer=False,
        needs_official=True,
    ),
    Operation(
        "papers.fetch",
        "POST",
        "/v1/papers/fetch",
        "Lấy một tệp giấy tờ kèm kết quả kiểm tra chữ ký số",
        "Fetch a file of a paper, with the verdict on its digital signature",
        resident_views.PaperFile,
        _fetch_paper,
        personal=True,
        body=resident_views.PaperFileRequest,
        keeps_answer=False,
        needs_official=True,
    ),
    *operations_money.OPERATIONS,
    Operation(
        "tokens.issue",
        "POST",
        "/v1/tokens",
        "Lấy token ngắn hạn bằng khoá API",
        "Get a short-lived token for an API key",
        tokens.TokenAnswer,
        _issue_token,
        personal=False,
    ),
)

NAMES: frozenset[str] = frozenset(operation.name for operation in OPERATIONS)
