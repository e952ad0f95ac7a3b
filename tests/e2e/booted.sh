# A machine that systemd has booted, a Debian 12 guest with libvirt and QEMU in its image, as the hypervisor of others; read after
# tests/e2e/lib.sh, with XDG_DATA_HOME set.
# shellcheck shell=bash

export MAQUETTE_TIMEOUT=1200
volume=
# on SCRIPT: by root on that machine.
on() { "$maquette" ssh --prefix bmchv machine-0 -- sudo sh -eus <<< "$1"; }
# Called as the script ends. Where that machine does not answer, everything that was tried on it has failed for that alone: what it
# wrote last says why.
remove_booted() {
    if ! timeout 60 "$maquette" ssh --prefix bmchv machine-0 -- true > "$work/answer" 2>&1 && [ -n "$volume" ]; then
        echo "   the machine does not answer: $(cat "$work/answer")"
        virsh domstate --reason bmchv-machine-0 || true
        "$maquette" logs --prefix bmchv machine-0 | tail -n 40 || true
        virsh qemu-monitor-command --hmp bmchv-machine-0 'info registers -a' 2>&1 | grep -E '^(CPU|RIP)' || true
    fi
    "$maquette" down --yes --prefix bmchv > "$work/down" 2>&1 || true
    [ -z "$volume" ] || remove_image "$volume" || true
}

# booted_machine DIR SUBNET [PACKAGE…]: starts it; its image is kept in a directory for the next time. Where it is goes to $machine, and
# how it is reached to $at.
booted_machine() {
    local kept=$1 lab=$2 more package image fingerprint
    step "an image of Debian 12 with libvirt and QEMU"
    # The recipe is the program's own; what it calls brings some packages more.
    mkdir "$work/fakes"
    more=libvirt-daemon-system,qemu-system-x86,qemu-utils,qemu-block-extra,ipxe-qemu,dnsmasq-base,iptables,curl,openssh-client
    for package in "${@:3}"; do more+=,$package; done
    printf '#!/bin/sh\nexec %s --include=%s "$@"\n' "$(command -v mmdebstrap)" $more > "$work/fakes/mmdebstrap"
    chmod 755 "$work/fakes/mmdebstrap"
    build() { PATH=$work/fakes:$PATH XDG_CACHE_HOME=$kept "$maquette" image build debian-12 "$@" > "$work/build" 2>&1 || fail "$(cat "$work/build")"; }
    build
    # One that another version has built is not what is to be tried.
    ! grep -q "another version" "$work/build" || build --force
    image=$kept/maquette/images/debian-12.qcow2

    step "a machine of it, which systemd has booted"
    mkdir "$work/machine"
    cat > "$work/machine/maquette.yaml" << YAML
prefix: bmchv
nodes: {machine: {cpu: 2, memory: 3072, disks: [16G]}}
networks: {lab: {subnet: $lab}}
YAML
    (cd "$work/machine" && "$maquette" up --yes --start cold --image-url "$image") > "$work/up" 2>&1 || fail "$(cat "$work/up")"
    volume=$(image_of bmchv-machine-0)
    [ "$(on 'cat /proc/1/comm')" = systemd ] || fail "another first process"
    machine=$("$maquette" status --prefix bmchv --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["nodes"][0]["address"])')
    fingerprint=$(ssh-keygen -lf "$XDG_DATA_HOME/maquette/workspaces/bmchv/known_hosts" | cut -d ' ' -f 2 | head -n 1)
    ssh-keygen -q -R "$machine" > "$work/said" 2>&1 || true
    at=(--host-address "$machine" --host-user cloud-user --host-key "$XDG_DATA_HOME/maquette/workspaces/bmchv/id_rsa" --host-key-fingerprint "$fingerprint")
}
