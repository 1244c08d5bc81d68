#!/bin/sh
# Builds the image with the engine that is there: podman, buildah or docker, or the one that ENGINE names.
#
#   deploy/image.sh NAME [BASE]     tags NAME:<version> and NAME:latest; BASE: the image to build on
set -eu
cd "$(dirname "$0")/.."

[ $# -ge 1 ] && [ -n "$1" ] || { echo "usage: deploy/image.sh NAME [BASE]" >&2; exit 2; }
name=$1
base=${2:-}
version=$(sed -n 's/^#define DGLD_VERSION "\(.*\)"$/\1/p' core/version.h)

# A command alone does not make an engine: docker's is of no use without its daemon.
works() {
    command -v "$1" >/dev/null 2>&1 || return 1
    case "$1" in
    docker) docker info >/dev/null 2>&1 || { echo "image.sh: docker is there, but its daemon does not answer" >&2; return 1; } ;;
    esac
}

engine=""
for candidate in ${ENGINE:-podman buildah docker}; do
    if works "$candidate"; then
        engine=$candidate
        break
    fi
done
[ -n "$engine" ] || {
    echo "image.sh: there is no ${ENGINE:-podman, buildah or docker} to build an image with;" \
        "on Debian: apt-get install podman (or buildah, or docker.io)." \
        "Without one, make image-rootfs assembles the image's files in build/image-rootfs" >&2
    exit 1
}

set -- -f deploy/Containerfile --build-arg "VERSION=$version" -t "$name:$version" -t "$name:latest"
[ -z "$base" ] || set -- "$@" --build-arg "BASE=$base"
echo "building $name:$version with $engine"
case "$engine" in
docker) # finds the list of what to leave out by its name
    DOCKER_BUILDKIT=1 exec docker build "$@" . ;;
*) # the format of docker knows health checks, that of OCI does not
    exec "$engine" build --format docker --ignorefile deploy/Containerfile.dockerignore "$@" . ;;
esac
