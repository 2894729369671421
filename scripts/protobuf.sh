#!/usr/bin/env bash
# Generate aggregator/trades/market_pb2.py and its types from proto/market.proto. Needs grpcio-tools.
set -euo pipefail
cd "$(dirname "$0")/.."
"${PYTHON:-.venv/bin/python}" -m grpc_tools.protoc --proto_path=proto --python_out=aggregator/trades \
  --pyi_out=aggregator/trades market.proto
