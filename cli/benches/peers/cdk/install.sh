#!/usr/bin/env bash
# Installs the AWS CDK app that `cargo bench --bench render` runs beside ipgeo, into target/peers/cdk. Wants node and npm.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$here/../../../../target/peers/cdk
mkdir -p "$folder"
cp "$here/app.js" "$here/package.json" "$folder"
cd "$folder"
npm install --no-audit --no-fund --loglevel=error
