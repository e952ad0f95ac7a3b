# Sourced by benchmarks that compare with plain QEMU: the nodes of an environment, started by hand.
# shellcheck shell=bash

. "$(dirname "${BASH_SOURCE[0]}")/../tests/e2e/pool.sh"
now() { date +%s.%N; }
pids=()
# What a benchmark removes besides, however it ends.
leave() { :; }
trap 'kill "${pids[@]}" 2>/dev/null || true; leave; rm -rf "$work"' EXIT

# Keeps what the nodes that are there are made of, and sets $base to their image. Called in the project's folder; more
# arguments go to `maquette`.
remember() {
    local node workspace
    nodes=$("$maquette" status --json "$@" | python3 -c 'import json, sys
for node in json.load(sys.stdin)["nodes"]: print(node["name"])')
    base=$(image_of "$(head -n 1 <<< "$nodes")")
    for node in $nodes; do
        cp "$pool/$node-seed.img" "$work/"
        virsh dumpxml "$node" | sed -n "s/.*<mac address='\(.*\)'.*/\1/p" > "$work/$node.macs"
    done
    workspace=$("$maquette" status --json "$@" | python3 -c 'import json, sys
print(json.load(sys.stdin)["workspace"])')
    cp "$workspace/id_ed25519" "$workspace/known_hosts" "$work/"
}

# Starts what is remembered with plain QEMU, on the image $1, and waits until a login finds cloud-init's result. Sets $floor,
# in seconds.
floor() {
    local base=$1 begun port=42200 waits=() node disk cards number forward mac
    begun=$(now)
    for node in $nodes; do
        port=$((port + 1))
        disk=$work/$node.qcow2
        qemu-img create -q -f qcow2 -b "$base" -F qcow2 "$disk" 12G
        cards=() number=0
        while read -r mac; do
            forward=
            # The second card is the one on the management network.
            if [ $number = 1 ]; then forward=,hostfwd=tcp:127.0.0.1:$port-:22; fi
            cards+=(-netdev "user,id=n$number$forward"
                -device "virtio-net-pci,netdev=n$number,mac=$mac,romfile=")
            number=$((number + 1))
        done < "$work/$node.macs"
        qemu-system-x86_64 -machine pc,accel=tcg -cpu max -m 768 -smp 1 -nodefaults -display none \
            -vga std -drive "file=$disk,if=virtio,cache=unsafe" \
            -drive "file=$work/$node-seed.img,if=virtio,format=raw,readonly=on" "${cards[@]}" \
            -serial "file:$work/$node.serial" -object rng-random,id=r,filename=/dev/urandom \
            -device virtio-rng-pci,rng=r &
        pids+=($!)
        (
            until ssh -F none -i "$work/id_ed25519" -p $port -o BatchMode=yes -o ConnectTimeout=5 \
                -o HostKeyAlias="$node" -o UserKnownHostsFile="$work/known_hosts" \
                -o StrictHostKeyChecking=yes cloud-user@127.0.0.1 \
                'while [ ! -e /run/cloud-init/result.json ]; do sleep 0.1; done' 2>/dev/null; do
                sleep 1
            done
        ) &
        waits+=($!)
    done
    wait "${waits[@]}"
    floor=$(echo "$(now) - $begun" | bc)
    kill "${pids[@]}" 2> /dev/null || true
    wait "${pids[@]}" 2> /dev/null || true
    pids=()
}
