#!/usr/bin/env bash
# Installs the servers that `cargo bench --bench server` measures beside `ipgeo dev`, at fixed versions, into
# target/peers/server: aiohttp and FastAPI on uvloop with `maxminddb` (C), and Fastify with `maxmind`. Wants python3, node and npm;
# `wrk`, which asks them all, is a package of every Linux distribution.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$here/../../../../target/peers/server
mkdir -p "$folder"
[ -x "$folder/python/bin/python" ] || python3 -m venv "$folder/python"
"$folder/python/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
    aiohttp==3.14.5 fastapi==0.165.0 uvicorn==0.54.0 httptools==0.9.0 uvloop==0.23.0 maxminddb==3.2.0
cp "$here/package.json" "$folder"
cd "$folder"
npm install --no-audit --no-fund --loglevel=error
