#!/bin/sh
# Installs what is missing: Debian packages by group (build, test, lint, bench, fuzz, package), for the
# group `web` Node.js and npm, for the group `python` the pinned packages of the tests into build/venv, for
# `tools` programs that the tests of deployments use into build/tools, and for `peers` the servers that
# `make bench-peers` compares with into build/peers-*. Does nothing where all is there.
set -eu
cd "$(dirname "$0")/.."

packages_of() {
    case "$1" in
    build) echo "gcc libc6-dev make pkg-config libmicrohttpd-dev libjansson-dev libopenblas-pthread-dev" \
                "libuv1-dev nettle-dev zlib1g-dev libyaml-dev libgnutls28-dev" \
                "libsqlite3-dev libcurl4-gnutls-dev libprotobuf-c-dev protobuf-c-compiler libonnx-dev" \
                "libzip-dev libpq-dev libjemalloc-dev" ;;
    test) echo "libcmocka-dev git faketime python3 python3-venv python3-torch curl openssl systemd dpkg-dev man-db postgresql chromium valgrind" ;;
    lint) echo "clang-format clang-tidy cppcheck dpkg-dev git lintian" ;;
    bench) echo "nginx-light wrk" ;;
    fuzz) echo "clang-14 libclang-rt-14-dev llvm-14 python3" ;;
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
    case "$missing " in
    *" postgresql "*) install_postgresql ;;
    esac
    # shellcheck disable=SC2086  # the list is meant to be split
    apt_install $missing
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# The programs alone: Debian's package would make a server of the machine's besides, and start it.
install_postgresql() {
    settings=/etc/postgresql-common/createcluster.conf
    apt_install postgresql-common
    $as_root sed -i '$a create_main_cluster = false' "$settings"
    apt_install postgresql || failed=yes
    $as_root sed -i '$d' "$settings"
    [ -z "${failed:-}" ] || exit 1
}

# Packages of which programs are wanted, but not that they are installed: some would start a service, one
# may be in the way of a newer one.
install_tools() {
    tools=build/tools
    [ -x "$tools/usr/bin/promtool" ] && [ -x "$tools/usr/bin/prometheus" ] && [ -x "$tools/usr/bin/kubectl" ] &&
        [ -x "$tools/usr/sbin/nginx" ] && return 0
    rm -rf "$tools"
    mkdir -p "$tools/packages"
    echo "unpacking prometheus kubernetes-client nginx into $tools"
    if ! download_tools 2>/dev/null; then
        if [ "$(id -u)" -eq 0 ]; then apt-get update -qq; else sudo apt-get update -qq; fi
        download_tools
    fi
    for package in "$tools"/packages/*.deb; do
        dpkg-deb --extract "$package" "$tools"
    done
    rm -r "$tools/packages"
}

download_tools() {
    (cd "$tools/packages" &&
        apt-get download -qq -o APT::Sandbox::User="$(id -un)" prometheus kubernetes-client nginx)
}

# install_venv FOLDER REQUIREMENTS [option of venv ...]
install_venv() {
    folder=$1
    requirements=$2
    shift 2
    cmp -s "$requirements" "$folder/requirements.txt" 2>/dev/null && return 0
    python=${PYTHON:-python3}
    [ -x /usr/bin/python3 ] && python=${PYTHON:-/usr/bin/python3}
    rm -rf "$folder"
    "$python" -m venv "$@" "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
    cp "$requirements" "$folder/requirements.txt"
}

install_python() {
    install_venv build/venv tests/requirements.txt
}

# PyTorch and its NumPy are Debian's: what PyPI has for this system carries gigabytes for graphics cards.
install_peers() {
    install_packages python3-venv python3-torch
    install_venv build/peers-fastapi tests/bench/peers/requirements-fastapi.txt --system-site-packages
    install_venv build/peers-mlserver tests/bench/peers/requirements-mlserver.txt
}

# Whoever has Node.js from elsewhere keeps it: Debian's package would be in its way.
install_web() {
    command -v node >/dev/null && command -v npm >/dev/null || install_packages nodejs npm
}

for group in "$@"; do
    case "$group" in
    web) install_web ;;
    python) install_python ;;
    tools) install_tools ;;
    peers) install_peers ;;
    *) # shellcheck disable=SC2046  # likewise
       install_packages $(packages_of "$group") ;;
    esac
done
