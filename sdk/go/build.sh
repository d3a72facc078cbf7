#!/bin/sh
# Builds a policy as a component: sh build.sh PACKAGE OUT.wasm
#
# Go makes a core module, wasm-tools puts the contract into it and makes it a component. What Go's runtime asks of WASI is
# answered inside (wasi.wat), so that the component needs nothing of the world.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
made=$(mktemp -d)
trap 'rm -r "$made"' EXIT
GOTOOLCHAIN=local GOOS=wasip1 GOARCH=wasm go build -C "$1" -buildmode=c-shared -trimpath -ldflags='-s -w' -o "$made/core.wasm" .
wasm-tools parse "$here/wasi.wat" -o "$made/wasi.wasm"
wasm-tools component embed "${BALM_WIT:-$here/../../wit/0.1.0}" --world policy "$made/core.wasm" -o "$made/typed.wasm"
wasm-tools component new "$made/typed.wasm" --adapt "wasi_snapshot_preview1=$made/wasi.wasm" -o "$made/component.wasm"
wasm-tools strip --all "$made/component.wasm" -o "$2"
