#!/bin/sh
# Assembles the file tree of the container's image: the program, the shared libraries that it names, what
# ships, and a user. deploy/Containerfile runs it in its build stage, `make image-rootfs` on a machine
# without an engine, so that both trees are one. Needs what `make build` needs, and no root.
#
#   deploy/rootfs.sh DIRECTORY [PROGRAM]     the directory is new or empty; PROGRAM: build/dgld
#
# Libraries are those of the program as it was linked, and those that it loads late (build/generated/late
# stands for them, see the Makefile), found by the loader; each is some Debian package's, whose licence and
# description go along (the latter where scanners of images look for them).
set -eu
cd "$(dirname "$0")/.."

UID_GID=10001
MAX_BYTES=80000000

fail() { echo "rootfs.sh: $*" >&2; exit 1; }

[ $# -ge 1 ] || { echo "usage: deploy/rootfs.sh DIRECTORY [PROGRAM]" >&2; exit 2; }
root=$1
program=${2:-build/dgld}
[ -x "$program" ] || fail "there is no $program; build it with: make"
[ ! -e "$root" ] || [ -z "$(ls -A "$root")" ] || fail "$root is not empty"
mkdir -p "$root"
root=$(cd "$root" && pwd -P)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ---- the program and what ships ----------------------------------------------------------------------

put_program() {
    install -D -m 0755 "$program" "$root/usr/bin/dgld"
    strip --strip-unneeded "$root/usr/bin/dgld"
    for file in data/devices/*.json result/*/pretrainmodel.safetensors result/*/pretrainmodel-mlp.safetensors \
        result/*/accuracymodel.safetensors; do
        [ -f "$file" ] || fail "there is no $file"
        install -D -m 0644 "$file" "$root/usr/share/dgld/$file"
    done
}

# ---- libraries ---------------------------------------------------------------------------------------

# The path of the file's name in its directory without links: /lib is /usr/lib.
place_of() { echo "$(cd "$(dirname "$1")" && pwd -P)/$(basename "$1")"; }

# The paths by which the loader finds the libraries, its own among them.
list_libraries() {
    [ -d build/generated/late ] || fail "there is no build/generated/late; build it with: make"
    # shellcheck disable=SC2046  # paths of ours have no blanks
    ldd "$program" $(find build/generated/late -name '*.so') >"$work/ldd" ||
        fail "$program is no program of this machine"
    missing=$(grep 'not found' "$work/ldd") && fail "libraries are missing: $missing"
    sed -n -e 's/.*=> \(\/[^ ]*\) (0x.*/\1/p' -e 's/^[[:space:]]*\(\/[^ ]*\) (0x.*/\1/p' "$work/ldd" |
        sort -u >"$work/libraries"
    [ -s "$work/libraries" ] || fail "$program names no libraries"
}

put_libraries() {
    for link in lib lib64; do
        [ ! -L "/$link" ] || ln -s "usr/$link" "$root/$link"
    done
    while IFS= read -r library; do
        place=$(place_of "$library")
        case "$place" in
        /usr/lib/* | /usr/lib64/*) ;;
        *) fail "$place is not where the loader looks by itself; link with Debian's own libraries" ;;
        esac
        install -D -m 0644 "$(readlink -f "$library")" "$root$place"
    done <"$work/libraries"
    # the loader is what the kernel runs
    find "$root/usr" -name 'ld-linux*' -exec chmod 0755 {} +
}

# The packages of the libraries' files. dpkg may know a file by its path through /lib.
list_packages() {
    while IFS= read -r library; do
        readlink -f "$library"
    done <"$work/libraries" | sort -u >"$work/files"
    # shellcheck disable=SC2046  # paths of libraries have no blanks
    dpkg-query -S $(sed -e p -e 's/^\/usr//' "$work/files") >"$work/owned" 2>/dev/null || true
    sed 's/^.*: //' "$work/owned" >"$work/owned-files"
    while IFS= read -r file; do
        grep -qxF -e "$file" -e "${file#/usr}" "$work/owned-files" || fail "$file is of no package"
    done <"$work/files"
    sed 's/: .*//' "$work/owned" | sort -u >"$work/packages"
}

# What scanners of images read, and the licences.
put_packages() {
    mkdir -p "$root/var/lib/dpkg/status.d"
    while IFS= read -r package; do
        name=${package%%:*}
        install -D -m 0644 "/usr/share/doc/$name/copyright" "$root/usr/share/doc/$name/copyright"
        dpkg-query -s "$package" >"$root/var/lib/dpkg/status.d/$name"
    done <"$work/packages"
    install -D -m 0644 /usr/lib/os-release "$root/usr/lib/os-release"
    ln -s ../usr/lib/os-release "$root/etc/os-release"
}

# ---- the rest ----------------------------------------------------------------------------------------

put_user() {
    mkdir -p "$root/etc" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/var/lib/dgld"
    chmod 1777 "$root/tmp"
    chmod 0750 "$root/var/lib/dgld"
    [ "$(id -u)" -ne 0 ] || chown "$UID_GID:$UID_GID" "$root/var/lib/dgld"
    printf '%s\n' 'root:x:0:0:root:/:/usr/sbin/nologin' \
        "dgld:x:$UID_GID:$UID_GID:dgld:/var/lib/dgld:/usr/sbin/nologin" >"$root/etc/passwd"
    printf '%s\n' 'root:x:0:' "dgld:x:$UID_GID:" >"$root/etc/group"
    printf '%s\n' 'hosts: files dns' 'passwd: files' 'group: files' >"$root/etc/nsswitch.conf"
}

# What an image must not have, whatever the above did.
check() {
    [ -z "$(find "$root" -type f -perm /6000)" ] || fail "there are setuid or setgid files"
    others=$(find "$root" -type f -perm /0111 ! -path "$root/usr/bin/dgld" ! -name 'ld-linux*')
    [ -z "$others" ] || fail "there are programs besides dgld: $others"
    [ -z "$(find "$root" -type f ! -perm -0444)" ] || fail "some files can be read by few"
    bytes=$(find "$root" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')
    [ "$bytes" -lt "$MAX_BYTES" ] || fail "the image has $bytes bytes; at most $MAX_BYTES are allowed"
    echo "$root: $bytes bytes of at most $MAX_BYTES"
}

umask 022
put_program
list_libraries
put_libraries
put_user
list_packages
put_packages
check
