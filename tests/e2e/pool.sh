# What tests and benchmarks ask of the pool, in which others' images lie beside theirs; read with `.`.
# shellcheck shell=bash

# image_of NODE: the file of the image that its first disk overlays.
image_of() {
    virsh -q vol-dumpxml --pool images "$1-disk1.qcow2" |
        sed -n '/<backingStore>/,$ s|.*<path>\(.*\)</path>.*|\1|p' | head -n 1 | grep .
}

# remove_image FILE: takes an image out of the pool that nothing overlays any more, with the record that it is Maquette's.
remove_image() {
    virsh -q vol-delete "$1" > /dev/null && rm -f "/var/lib/maquette/images/$(printf %s "$1" | sha256sum | head -c 32)"
}
