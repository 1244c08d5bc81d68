#!/bin/sh
# Links a copy of the reference's data (a folder with nasbench201/ and fbnetv3/) into data/, where git
# ignores it. Files of one's own in data/ are left alone.
set -eu
cd "$(dirname "$0")/.."
from=${1:-}
[ -n "$from" ] || { echo "usage: make data FROM=<a copy of the reference's data>" >&2; exit 2; }
from=$(cd "$from" 2>/dev/null && pwd) || { echo "there is no folder $1" >&2; exit 1; }
n=0
for space in nasbench201 fbnetv3; do
    [ -f "$from/$space/net.txt" ] || continue
    (cd "$from/$space" && find -L . -type f ! -name '.*') | while IFS= read -r file; do
        target="data/$space/${file#./}"
        mkdir -p "$(dirname "$target")"
        if [ -e "$target" ] && [ ! -L "$target" ]; then
            echo "kept $target, which is no link"
        else
            ln -sfn "$from/$space/${file#./}" "$target"
        fi
    done
    echo "linked data/$space"
    n=$((n + 1))
done
[ "$n" -gt 0 ] || { echo "neither nasbench201/net.txt nor fbnetv3/net.txt is in $from" >&2; exit 1; }
