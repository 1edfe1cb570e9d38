#!/bin/sh
# Waits for Temporal, then makes the namespace of Aegis and registers its search attributes. Safe to
# run again: what exists stays as it is.
set -eu

: "${TEMPORAL_ADDRESS:?host:port of the Temporal frontend}"
: "${TEMPORAL_NAMESPACE:?the namespace Aegis works in}"
retention="${TEMPORAL_RETENTION:-720h}"
attributes="${SEARCH_ATTRIBUTES_FILE:?a file of "name type" lines}"
attempts=60

again() { # runs a command until it succeeds, for about two minutes
  attempt=1
  until "$@"; do
    if [ "$attempt" -ge "$attempts" ]; then
      echo "gave up after $attempts attempts: $*" >&2
      return 1
    fi
    attempt=$((attempt + 1))
    sleep 2
  done
}

known_namespace() { temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; }

ensure_namespace() {
  known_namespace || temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$retention" || known_namespace
}

# A frontend caches namespaces for some seconds, so a new one may be unknown at first.
ensure_attribute() { # name, type
  temporal operator search-attribute list --namespace "$TEMPORAL_NAMESPACE" | grep -qw "$1" ||
    temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" --name "$1" --type "$2"
}

again temporal operator cluster health
again ensure_namespace
while read -r name type; do
  case "$name" in '' | '#'*) continue ;; esac
  again ensure_attribute "$name" "$type"
done <"$attributes"
echo "the namespace $TEMPORAL_NAMESPACE is ready"
