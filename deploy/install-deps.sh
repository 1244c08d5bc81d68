#!/bin/sh
# Installs what is missing: Debian packages by group (build, test, lint, bench, package), and for the group
# `python` the pinned packages of the tests into build/venv. Does nothing where all is there.
set -eu
cd "$(dirname "$0")/.."

packages_of() {
    case "$1" in
    build) echo "gcc libc6-dev make pkg-config libmicrohttpd-dev libjansson-dev libopenblas-pthread-dev" \
                "liblapacke-dev libuv1-dev nettle-dev zlib1g-dev libyaml-dev libgnutls28-dev" \
                "libsqlite3-dev libcurl4-gnutls-dev libprotobuf-c-dev protobuf-c-compiler libonnx-dev" \
                "libzip-dev libpq-dev" ;;
    test) echo "libcmocka-dev python3 python3-venv python3-torch curl openssl systemd dpkg-dev man-db postgresql" ;;
    lint) echo "clang-format clang-tidy cppcheck" ;;
    bench) echo "nginx-light wrk" ;;
    package) echo "dpkg-dev binutils" ;;
    *) echo "install-deps.sh: there is no group $1" >&2; exit 2 ;;
    esac
}

install_packages() {
    missing=""
    for p in "$@"; do
        dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
    done
    [ -n "$missing" ] || return 0
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "these packages are missing:$missing; install them as root" >&2; exit 1; }
        as_root=sudo
    fi
    echo "installing$missing"
    $as_root apt-get update -qq
    # shellcheck disable=SC2086  # the list is meant to be split
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

install_python() {
    stamp=build/venv/requirements.txt
    cmp -s tests/requirements.txt "$stamp" 2>/dev/null && return 0
    python=${PYTHON:-python3}
    [ -x /usr/bin/python3 ] && python=${PYTHON:-/usr/bin/python3}
    rm -rf build/venv
    "$python" -m venv build/venv
    build/venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
    cp tests/requirements.txt "$stamp"
}

for group in "$@"; do
    case "$group" in
    python) install_python ;;
    *) # shellcheck disable=SC2046  # likewise
       install_packages $(packages_of "$group") ;;
    esac
done
