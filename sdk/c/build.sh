#!/bin/sh
# Builds a policy as a component: sh build.sh POLICY.c OUT.wasm
#
# zig's C compiler makes a core module, wasm-tools puts the contract into it and makes it a component. Both come from PyPI
# (requirements.txt); python-zig is `python3 -m ziglang` as a program.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
made=$(mktemp -d)
trap 'rm -r "$made"' EXIT
python-zig cc --target=wasm32-wasi -mexec-model=reactor -std=c23 -Os -Wall -Wextra -Werror -s -o "$made/core.wasm" "$1"
wasm-tools component embed "${BALM_WIT:-$here/../../wit/0.1.0}" --world policy "$made/core.wasm" -o "$made/typed.wasm"
wasm-tools component new "$made/typed.wasm" -o "$made/component.wasm"
wasm-tools strip --all "$made/component.wasm" -o "$2"
