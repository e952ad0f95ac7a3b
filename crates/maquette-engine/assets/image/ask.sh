# What servers say of images before anything is downloaded, of all at the same time. Nothing is kept.
# Standard input: certificate authorities besides the system's, in PEM, or nothing; a line with a dot; then for each image
# two lines: the protocols that redirections may lead to, and its address as curl's configuration has it. An address may hold
# a password, so that it is in nobody's list of processes.
# Prints for each image `INDEX ENDED STATUS LENGTH HEAD`: curl's exit status, HTTP's, `-`, or `down` where it leads from an
# address with encryption to one without, how many bytes it has, or `-`, and its first bytes in hexadecimal digits, or `-`; then `INDEX | WHY` where curl says so. Nothing without curl.
command -v curl >/dev/null || exit 0
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
authorities=
while IFS= read -r line && [ "$line" != . ]; do
    if [ -z "$authorities" ]; then
        cat /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem \
            2>/dev/null >"$work/ca" || :
        authorities=yes
    fi
    printf '%s\n' "$line" >>"$work/ca"
done

# $1: where its parts are  $2: protocols of redirections  $3: a line for curl
ask() {
    : >"$1.headers"
    {
        ended=0
        printf '%s\n' "$3" | curl --config - --silent --show-error --location --globoff --range 0-511 --max-redirs 10 \
            --proto '=http,https' --proto-redir "$2" --connect-timeout 5 --max-time 10 ${authorities:+--cacert "$work/ca"} \
            --dump-header "$1.headers" 2>"$1.said" || ended=$?
        echo "$ended" >"$1.ended"
    } | head -c 512 | od -An -v -tx1 | tr -d ' \n' >"$1.head"
}

# Before the last answer come those of redirections. curl keeps to encryption where it began with that.
# $1: a file of headers
answered() {
    tr -d '\r' <"$1" | awk '
        { line = tolower($0) }
        line ~ /^location:[ \t]*https:/ { encrypted = 1 }
        line ~ /^location:[ \t]*http:/ && encrypted { down = 1 }
        /^HTTP\// { status = $2; length_of = "-"; whole = "-" }
        tolower($1) == "content-length:" { length_of = $2 }
        tolower($1) == "content-range:" { whole = $NF; sub(/.*\//, "", whole) }
        END { print (down ? "down" : status == "" ? "-" : status), (status == 206 ? whole : length_of) }'
}

count=0
while IFS= read -r redirects && IFS= read -r line; do
    ask "$work/$count" "$redirects" "$line" &
    count=$((count + 1))
done
wait
index=0
while [ "$index" -lt "$count" ]; do
    at=$work/$index
    head=$(cat "$at.head")
    echo "$index $(cat "$at.ended" 2>/dev/null || echo 1) $(answered "$at.headers") ${head:--}"
    sed -n "s/^curl: /$index | curl: /p" "$at.said" 2>/dev/null | head -n 1
    index=$((index + 1))
done
