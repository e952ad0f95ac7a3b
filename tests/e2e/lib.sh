# What the end-to-end scripts share; read with `. tests/e2e/lib.sh` in the repository's root, after `set -euo pipefail`.
# shellcheck shell=bash

PATH=$PATH:/usr/sbin:/sbin:$HOME/.cargo/bin
here=$PWD
maquette=$(realpath -m "${CARGO_TARGET_DIR:-target}")/release/maquette
# The Ansible of `scripts/deps`, before the system's.
PATH=$here/target/test-tools/ansible/bin:$PATH
work=$(mktemp -d)
. tests/e2e/pool.sh
# An emulated guest may take longer than ten seconds to answer while others boot.
export ANSIBLE_TIMEOUT=60
# Ansible has Python parse the paths of its settings, which warns of a temporary directory with "3if" in its name.
export PYTHONWARNINGS=ignore::SyntaxWarning
# Blank nodes have BMCs only where these are what is tried.
export MAQUETTE_BMC=off

# An ssh that is killed leaves what it wrote to non-blocking, for everybody who writes there, and Ansible refuses to run
# like that: it gets a pipe of its own.
ansible() { command ansible "$@" 2>&1 | cat; }
ansible-playbook() { command ansible-playbook "$@" 2>&1 | cat; }

# A heading with the time, so that a log tells where the time went.
step() { printf '%s %(%H:%M:%S)T %s\n' "${mark:---}" -1 "$*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
# What ends a script without a word of its own.
set -E
trap 'echo "FAILED: ${BASH_SOURCE[0]}, line $LINENO: $BASH_COMMAND" >&2' ERR

# ends CODE SECONDS COMMAND…: it has to end with that code within that time; what it says goes to $said.
ends() {
    local code=$1 limit=$2 begun took got=0
    shift 2
    begun=$(date +%s%N)
    timeout $((limit + 30)) "$@" > "$work/ends.out" 2>&1 < /dev/null || got=$?
    took=$((($(date +%s%N) - begun) / 1000000))
    said=$(cat "$work/ends.out")
    [ $got = "$code" ] || fail "$*: ended with $got, not $code: $said"
    [ $took -le $((limit * 1000)) ] || fail "$*: took $took ms: $said"
}
# What the last command of `ends` has to have said.
says() { [[ $said == *"$1"* ]] || fail "expected \`$1\` in: $said"; }

# Whether what is piped in has it. Reads all of it, unlike `grep -q`, which has whoever still writes end with an error.
has() { grep "$@" > /dev/null; }

# is_silent COMMAND…: it works, and says nothing. What cannot be asked is not taken for nothing.
is_silent() {
    local said
    said=$("$@") && [ -z "$said" ]
}

# soon COMMAND…: tries until it works, for what takes a guest a moment; $patience seconds.
patience=30
soon() {
    local deadline=$((SECONDS + patience))
    until "$@"; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.2
    done
}

# The files of ~/.ssh that a test changes, and as they were.
keep_ssh() {
    local file
    mkdir -p ~/.ssh
    for file in known_hosts config; do cp ~/.ssh/$file "$work/$file.before" 2>/dev/null || true; done
}
restore_ssh() {
    local file
    for file in known_hosts config; do cp "$work/$file.before" ~/.ssh/$file 2>/dev/null || rm -f ~/.ssh/$file; done
}
