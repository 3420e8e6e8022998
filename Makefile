# `make` alone prints this menu. Needs Python 3.11 or later and make; nothing else.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
CATALOGUE ?=
# A file's tests stay together, so that what they share is started once; tests/conftest.py gives the order.
SPREAD := -n 3 --dist loadfile --no-loadscope-reorder
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONDONTWRITEBYTECODE :=

##@ Bắt đầu / start here
help: ## Bảng này / this menu
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/.runtime ## Cài đặt vào .venv / install into .venv
run: .venv/.runtime ## Chạy thử: trục + hệ thống giả lập; CATALOGUE=tệp / try it: hub and sandbox
	@exec $(BIN)/lienthong start $(if $(CATALOGUE),--catalogue $(CATALOGUE))

run-full: .venv/.full ## Như trên ở cỡ đầy đủ: PostgreSQL, Redis, Celery / the same in the full size
	@exec $(BIN)/lienthong start --full $(if $(CATALOGUE),--catalogue $(CATALOGUE))

demo: .venv/.runtime ## Khi `make run` đang chạy: đi qua từng việc / with `make run` running: walk the stories
	@$(BIN)/lienthong --config var/trial.toml demo

##@ Hằng ngày / every day
test: .venv/.dev ## Mọi kiểm thử / all tests
	@$(BIN)/python -m pytest $(SPREAD)

test-quick: .venv/.dev ## Kiểm thử nhanh, không có truyện dài / without the long stories
	@$(BIN)/python -m pytest $(SPREAD) -m "not long"

proofs: .venv/.dev ## Các phép thử dài ở mức đầy đủ (hàng giờ) / the long proofs in full measure (hours)
	@LEDGER=100000 TAMPERINGS=1000 STORM=2000 PAYMENTS=5000 ORDERS=400 $(BIN)/python -m pytest -m "long or hypothesis" --hypothesis-profile=proofs -rP

check: .venv/.dev ## Định dạng, lint, kiểu, chiều import, tệp ánh xạ / format, lint, types, imports, mappings
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest tests/mappings tests/house

format: .venv/.dev ## Sửa định dạng / put the format right
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: .venv/.dev ## Đo nhanh / quick benchmarks
	@for each in sync outbox limits journal gate soap callbacks detection desks; do $(BIN)/python bench/$$each.py --quick || exit 1; done

##@ Phát triển / growing
new-migration: .venv/.dev ## MESSAGE="…": bước di trú mới từ core/tables.py / a new migration step
	@$(BIN)/python -m lienthong.core.migrations.generate "$(MESSAGE)"

lock: .venv/.dev ## Ghim lại các thư viện / pin the libraries anew
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile pyproject.toml --extra build --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --extra build --extra full-local --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --upgrade -o requirements-dev.lock

clean: ## Xoá .venv và bộ đệm; giữ var/ / remove .venv and caches; keeps var/
	@rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: help setup run run-full demo test test-quick proofs check format bench new-migration lock clean

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Cần Python 3.11 trở lên / Python 3.11 or later is needed") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv .venv

.venv/.runtime: .venv/bin/python requirements.lock pyproject.toml
	@echo "Cài thư viện / installing libraries …"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.venv/.full .venv/.dev: requirements-dev.lock .venv/.runtime
	@echo "Cài công cụ / installing tools …"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	@touch .venv/.full .venv/.dev
