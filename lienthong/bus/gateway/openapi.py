"""The OpenAPI document, made from the table of operations; what it says is what the door does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from lienthong.bus import operations
from lienthong.bus.gateway import examples

_REF = "#/components/schemas/{model}"
_PROBLEM_TYPE = "application/problem+json"
_KEY_NOTE = (
    "Khoá API do đơn vị quản lý khoá cấp; gửi trong tiêu đề X-API-Key, không bao giờ trong địa chỉ. / "
    "An API key from the unit that manages keys; in the header X-API-Key, never in the address."
)
_ASSERTION_NOTE = (
    "Xác nhận có chữ ký (JWT) của hệ thống nơi cán bộ đăng nhập; mỗi câu hỏi một xác nhận mới. Chỉ khoá được đơn "
    "vị vận hành cho phép mới được bỏ, khi đó nêu official trong nội dung. / The signed assertion (JWT) of the "
    "system where the official signed in, a new one for each question. Only a key that the operators excepted may "
    "leave it out, and names `official` in the body."
)
_WHEN: dict[int, str] = {
    400: "Yêu cầu không hợp lệ; từng trường sai được nêu. / The request is not valid; each wrong field is named.",
    401: "Khoá API thiếu hoặc không hợp lệ. / The API key is missing or not valid.",
    403: "Khoá chưa được cấp quyền này. / The key has not been granted this.",
    404: "Không tìm thấy. / Not found.",
    408: "Nội dung không đến kịp. / The body did not arrive in time.",
    409: "Trùng số, khác nội dung. / The same number with other content.",
    413: "Nội dung quá lớn. / The body is too large.",
    415: "Nội dung phải là JSON UTF-8. / The body must be JSON in UTF-8.",
    422: "Hệ thống nhận từ chối nội dung này. / A receiving system refuses this content.",
    429: "Đã dùng hết hạn mức. / The limit is used up.",
    500: "Lỗi nội bộ; dùng mã yêu cầu để tra. / A defect; the request id finds it.",
    501: "Trục chưa kết nối hệ thống cần cho thao tác này. / This hub is not connected to the system needed.",
    502: "Hệ thống bên ngoài trả lời sai hoặc không nhận trục. / Another system answers wrongly or refuses us.",
    503: "Tạm thời không phục vụ được; hãy gọi lại. / Not available for the moment; try again.",
}
_NO_CONTROLS = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
_EVERY = (400, 401, 403, 429, 500, 503)
_OF_AN_INTERMEDIARY = ("payments.start", "payments.receipt")
_WITH_BODY = (408, 409, 413, 415, 422)
_OF_A_REGISTER = (501, 502)


def document(table: Sequence[operations.Operation], *, version: str) -> dict[str, Any]:
    """Write the document (OpenAPI 3.1)."""
    schemas, places = _schemas(table)
    schemas["Problem"] = _problem_schema()
    paths: dict[str, dict[str, Any]] = {}
    for operation in table:
        method = operation.method.lower()
        paths.setdefault(operation.path, {})[method] = _operation(operation, schemas, places)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Liên thông",
            "version": version,
            "description": "Trục liên thông dữ liệu của tỉnh. / The data bus of a province.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": _KEY_NOTE},
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            },
        },
        "security": [{"apiKey": []}, {"token": []}],
    }


Place = tuple[type[BaseModel], JsonSchemaMode]


def _schemas(
    table: Sequence[operations.Operation],
) -> tuple[dict[str, Any], dict[Place, dict[str, Any]]]:
    wanted: list[Place] = []
    for operation in table:
        wanted.append((operation.answer, "serialization"))
        wanted += [
            (model, "validation")
            for model in (operation.body, operation.query, operation.place)
            if model is not None
        ]
    places, whole = models_json_schema(list(dict.fromkeys(wanted)), ref_template=_REF)
    # Parts of the path and the query are written out as parameters.
    inlined = {model.__name__ for op in table for model in (op.query, op.place) if model is not None}
    schemas = {name: schema for name, schema in whole.get("$defs", {}).items() if name not in inlined}
    found: dict[Place, dict[str, Any]] = _inline(table, whole.get("$defs", {}))
    for (model, mode), schema in places.items():
        found.setdefault((cast(type[BaseModel], model), mode), schema)
    return schemas, found


def _inline(table: Sequence[operations.Operation], schemas: dict[str, Any]) -> dict[Place, dict[str, Any]]:
    found: dict[Place, dict[str, Any]] = {}
    for operation in table:
        for model in (operation.query, operation.place):
            if model is not None:
                found[model, "validation"] = schemas[model.__name__]
    return found


def _operation(
    operation: operations.Operation, schemas: dict[str, Any], places: dict[Place, dict[str, Any]]
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.name.partition(".")[0]],
        "summary": operation.summary_vi,
        "description": operation.summary_en,
        "parameters": _parameters(operation, places),
        "responses": _responses(operation, places),
        "x-personal-data": operation.personal,
    }
    if operation.body is not None:
        schema = places[operation.body, "validation"]
        if operation.from_path:
            schema = _without_path(schema, operation, schemas)
        media: dict[str, Any] = {"schema": schema}
        example = examples.BODIES.get(operation.name)
        if example is not None:
            media["example"] = example
        told["requestBody"] = {"required": True, "content": {"application/json": media}}
    return told


def _parameters(operation: operations.Operation, places: dict[Place, dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for model, where in ((operation.place, "path"), (operation.query, "query")):
        if model is None:
            continue
        schema = places[model, "validation"]
        for name, part in schema["properties"].items():
            parameter = {
                "name": name,
                "in": where,
                "required": where == "path",
                "description": part.get("description", ""),
                "schema": _parameter_schema(part),
            }
            example = examples.PATHS.get(operation.name, {}).get(name)
            if example is not None:
                parameter["example"] = example
            found.append(parameter)
    if operation.needs_official:
        found.append(_assertion_parameter())
    if operation.method == "POST":
        found.append(_idempotency_parameter())
    return found


def _parameter_schema(part: dict[str, Any]) -> dict[str, Any]:
    """Take the null out: a parameter that is left out is left out, and `null` in an address is a word."""
    schema = {name: value for name, value in part.items() if name not in ("title", "description", "default")}
    choices = [choice for choice in schema.pop("anyOf", []) if choice.get("type") != "null"]
    if len(choices) == 1:
        schema.update(choices[0])
    elif choices:
        schema["anyOf"] = choices
    if part.get("default") not in (None, ""):
        schema["default"] = part["default"]
    if schema.get("type") == "string" and not schema.keys() & {"pattern", "format", "enum"}:
        schema["pattern"] = _NO_CONTROLS
    return schema


def _assertion_parameter() -> dict[str, Any]:
    return {
        "name": "X-Official-Assertion",
        "in": "header",
        "required": True,
        "description": _ASSERTION_NOTE,
        "schema": {"type": "string", "maxLength": 4096, "pattern": r"^[\w-]+\.[\w-]+\.[\w-]+$"},
    }


def _idempotency_parameter() -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "Gửi lại cùng giá trị trong 24 giờ thì nhận lại câu trả lời đầu. / "
        "The same value within 24 hours gets the first answer again.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]{1,200}$"},
    }


def _responses(operation: operations.Operation, places: dict[Place, dict[str, Any]]) -> dict[str, Any]:
    media = {"application/json": {"schema": places[operation.answer, "serialization"]}}
    good = [operation.success] + ([operation.created] if operation.created else [])
    answers: dict[str, Any] = {
        str(status): {"description": operation.summary_vi, "headers": _headers(), "content": media}
        for status in good
    }
    refused = set(_EVERY)
    if operation.place is not None:
        refused.add(404)
    if operation.body is not None:
        refused.update(_WITH_BODY)
    if operation.method == "POST":
        refused.add(409)  # an Idempotency-Key that was used for another request
    if not operation.keeps_answer or operation.name in _OF_AN_INTERMEDIARY:
        refused.update(_OF_A_REGISTER)
    if operation.needs_outside:
        refused.update((422, *_OF_A_REGISTER))
    for status in sorted(refused):
        answers[str(status)] = {
            "description": _WHEN[status],
            "content": {_PROBLEM_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}},
        }
    return answers


def _headers() -> dict[str, Any]:
    told = {
        "X-Request-Id": "Mã yêu cầu. / The request's number.",
        "RateLimit-Policy": "Các hạn mức của khoá. / The limits of the key.",
        "RateLimit": "Phần còn lại của từng hạn mức. / What is left of each.",
    }
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in told.items()}


def _without_path(
    schema: dict[str, Any], operation: operations.Operation, schemas: dict[str, Any]
) -> dict[str, Any]:
    """Let the body leave out what stands in the path."""
    name = schema["$ref"].rpartition("/")[2]
    own = f"{name}InPath"
    required = [field for field in schemas[name].get("required", []) if field not in operation.from_path]
    schemas[own] = {**schemas[name], "title": own, "required": required}
    return {"$ref": _REF.format(model=own)}


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    problem = {
        "type": "object",
        "required": ["field", "detail"],
        "properties": {
            "field": {**text, "description": "Trường, như người gửi đã ghi"},
            "detail": {**text, "description": "Sai ở đâu"},
        },
    }
    return {
        "type": "object",
        "description": "RFC 9457; ngôn ngữ theo Accept-Language. / The language follows Accept-Language.",
        "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
        "properties": {
            "type": {**text, "format": "uri-reference"},
            "title": {**text, "description": "Loại lỗi, bằng một câu"},
            "status": {"type": "integer"},
            "detail": {**text, "description": "Chuyện gì đã xảy ra"},
            "instance": {**text, "format": "uri"},
            "code": {**text, "description": "Mã lỗi; từ đầu cho biết phía nào phải xử lý"},
            "request_id": {**text, "description": "Mã yêu cầu"},
            "errors": {"type": "array", "items": problem},
            "violated-policies": {"type": "array", "items": text},
        },
    }
