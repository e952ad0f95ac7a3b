# Arguments: a file with a definition, what virt-xml does, and an option of virt-install with its value. Prints the definition
# with it. What the definition has no part of yet cannot be changed, and is added; what is to be taken away and is not there, is.
virt-xml --connect qemu:///system "$2" "$3" <"$1" 2>"$1.error" && { rm -f "$1.error"; exit 0; }
if [ "$2" = --edit ] && grep -q 'objects found in the XML' "$1.error"; then
    rm -f "$1.error"
    exec virt-xml --connect qemu:///system --add-device "$3" <"$1"
fi
if [ "$2" = --remove-device ] && grep -q 'objects found in the XML' "$1.error"; then
    rm -f "$1.error"
    exec cat "$1"
fi
cat "$1.error" >&2
rm -f "$1.error"
exit 1
