# Whether dnsmasq can serve a directory over TFTP. $1: the directory. Says what is wrong, if anything is.
if [ ! -d "$1" ]; then
    echo missing
    exit
fi
# Only root can ask for another user, and dnsmasq's is one of these: Debian's, the others', and its own default.
if [ "$(id -u)" != 0 ] || ! command -v runuser >/dev/null; then exit; fi
for user in libvirt-dnsmasq dnsmasq nobody; do
    id -u "$user" >/dev/null 2>&1 || continue
    # shellcheck disable=SC2016 # The other shell has its own.
    runuser -u "$user" -- sh -c '[ -r "$1" ] && [ -x "$1" ]' sh "$1" || echo "closed $user"
    exit
done
