#!/bin/sh
# Installs the peers of the request path below target/, versions pinned: `runtime/benches/request_path/peers/install.sh`
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=$(cd "$here/../../../.." && pwd)/target/peers
mkdir -p "$target/node"
[ -x "$target/python/bin/python" ] || python3 -m venv "$target/python"
"$target/python/bin/pip" install --quiet awslambdaric==4.2.2 maxminddb==3.2.0 boto3==1.44.8
cd "$target/node"
[ -f package.json ] || echo '{ "private": true }' > package.json
npm install --no-audit --no-fund --loglevel=error maxmind@5.0.7 aws-lambda-ric@4.0.2
