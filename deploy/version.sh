#!/bin/sh
# Prints the version of a package: that of core/version.h, and between releases (commits without the
# tag v<version>) the time and name of the commit, so that later ones are higher. Outside of git it
# is the plain version. `deploy/version.sh date` prints the seconds since 1970 of that commit.
set -eu
cd "$(dirname "$0")/.."
version=$(sed -n 's/^#define DGLD_VERSION "\(.*\)"$/\1/p' core/version.h)
if ! commit=$(git rev-parse --verify --quiet 'HEAD^{commit}' 2>/dev/null); then
    [ "${1:-}" = date ] && stat -c %Y core/version.h || echo "$version"
elif [ "${1:-}" = date ]; then
    git show -s --format=%ct "$commit"
elif [ "$(git rev-parse --verify --quiet "refs/tags/v$version^{commit}")" = "$commit" ]; then
    echo "$version"
else
    TZ=UTC git show -s --date=format-local:%Y%m%d%H%M%S --abbrev=10 --format="$version+git%cd.%h" "$commit"
fi
