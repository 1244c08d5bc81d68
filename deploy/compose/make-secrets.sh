#!/bin/sh
# Makes the secrets of compose.yaml, in secrets/ beside it, where git ignores them. What is there is left
# as it is: remove a file to have it made anew. Prints the tokens' places, not the tokens.
#
# DGLD names the program that makes tokens; default: build/dgld, else the image dgld:0.1.0 by docker.
set -eu
cd "$(dirname "$0")"
dgld=${DGLD:-}
if [ -z "$dgld" ] && [ -x ../../build/dgld ]; then
    dgld=../../build/dgld
fi

# Containers run as users of their own and read the files as what they are on the host; so the files are
# for all to read, and the folder keeps other people of this machine out.
mkdir -p secrets
chmod 700 secrets

random() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

# NAME and its content on standard input
put() {
    cat >"secrets/.$1"
    chmod 444 "secrets/.$1"
    mv "secrets/.$1" "secrets/$1"
}

token() {
    if [ -n "$dgld" ]; then
        "$dgld" token --root . --name "$1" --role "$2" --file secrets/tokens.json
    else
        docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD/secrets:/secrets" dgld:0.1.0 \
            token --root /secrets --name "$1" --role "$2" --file /secrets/tokens.json
    fi
}

for name in postgres_password grafana_password; do
    [ -e "secrets/$name" ] || random | put "$name"
done
[ -e secrets/pg_service.conf ] ||
    printf '[dgld]\nhost=postgres\nport=5432\ndbname=dgld\nuser=dgld\npassword=%s\n' \
        "$(cat secrets/postgres_password)" | put pg_service.conf
if [ ! -e secrets/tokens.json ]; then
    rm -f secrets/metrics_token secrets/operator_token
    token prometheus predict | put metrics_token
    token operator operator | put operator_token
fi
chmod 444 secrets/tokens.json
echo "secrets/operator_token is for you, secrets/grafana_password for admin of Grafana"
