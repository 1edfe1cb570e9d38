#!/bin/sh
# Makes what `docker compose` needs and nobody should choose by hand: passwords, the key pairs of warrants,
# policies and access tokens, the digest key, the key that seals the secrets of callers. What is there already stays. Usage, from the top of the checkout:
#   sh deploy/compose/prepare.sh [<observer kubeconfig> <executor kubeconfig> <guard kubeconfig>]
set -eu

directory="${AEGIS_COMPOSE_DIRECTORY:-.aegis/compose}"
settings="$directory/settings.env"

stop() { echo "$1" >&2; exit "${2:-1}"; }
command -v openssl >/dev/null || stop 'openssl is missing: install it with your package manager'
[ -e docker-compose.yml ] || stop 'there is no docker-compose.yml here: run this from the top of the checkout'
[ $# -eq 0 ] || [ $# -eq 3 ] || stop 'usage: sh deploy/compose/prepare.sh [<observer kubeconfig> <executor kubeconfig> <guard kubeconfig>]' 2

umask 077
mkdir -p "$directory"

keep_kubeconfig() { # from, name
  [ -r "$1" ] || stop "cannot read the kubeconfig \`$1\`: give the path of one, docs/deploy.md says how to make it"
  [ "$1" -ef "$directory/$2" ] || cp "$1" "$directory/$2"
}
keep_kubeconfig "${1:-$directory/observer.kubeconfig}" observer.kubeconfig
keep_kubeconfig "${2:-$directory/executor.kubeconfig}" executor.kubeconfig
keep_kubeconfig "${3:-$directory/guard.kubeconfig}" guard.kubeconfig

for pair in warrant policy token; do
  [ ! -e "$directory/$pair.key" ] || continue
  openssl genpkey -algorithm ed25519 -out "$directory/$pair.key"
  openssl pkey -in "$directory/$pair.key" -pubout -out "$directory/$pair.pub"
done
[ -e "$directory/digest.key" ] || openssl rand -hex 32 >"$directory/digest.key"
[ -e "$directory/caller-keys" ] || openssl rand -hex 32 >"$directory/caller-keys"

# The processes run as whoever prepares, who can read these files, and never as root.
uid="$(id -u)"
gid="$(id -g)"
if [ "$uid" -eq 0 ]; then
  uid=10001
  gid=10001
  chown -R "$uid:$gid" "$directory"
fi

password() { openssl rand -hex 24; }
if [ ! -e "$settings" ]; then
  cat >"$settings" <<SETTINGS
AEGIS_UID=$uid
AEGIS_GID=$gid
AEGIS_COMPOSE_DIRECTORY=$(cd "$directory" && pwd)

# How freely Aegis may act: observe looks and records; suggest, approve and auto do more.
AEGIS_MODE=observe
# The namespaces it may act in, with commas between. While this is empty, none.
AEGIS_NAMESPACES=
# The name of the cluster that the three kubeconfig files lead to.
AEGIS_CLUSTER=local
# on: what lets more happen, put into the policies through the API, waits for a second person.
AEGIS_POLICY_FOUR_EYES=on
# What callers sign their requests for; a name no other installation has. While this is empty, signatures are not taken.
AEGIS_AUDIENCE=

POSTGRES_PASSWORD=$(password)
AEGIS_OWNER_PASSWORD=$(password)
AEGIS_API_PASSWORD=$(password)
AEGIS_DECISION_PASSWORD=$(password)
AEGIS_EXECUTION_PASSWORD=$(password)
AEGIS_WATCHER_PASSWORD=$(password)
AEGIS_GUARD_PASSWORD=$(password)
TEMPORAL_POSTGRES_PASSWORD=$(password)
TEMPORAL_DATABASE_PASSWORD=$(password)
SETTINGS
fi
echo "ready: read $settings, then run"
echo "  docker compose --env-file $settings up --build --wait"
