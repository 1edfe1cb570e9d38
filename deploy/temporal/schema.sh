#!/bin/sh
# Brings Temporal's two databases to the schema of this admin-tools image. Safe to run again: both
# commands do only what is not yet done.
set -eu

: "${SQL_HOST:?the PostgreSQL server of Temporal}"
: "${SQL_PASSWORD:?its password}"
schemas="${TEMPORAL_SCHEMA_DIRECTORY:-/etc/temporal/schema/postgresql/v12}"
attempts=30

migrate() { # database, schema folder
  temporal-sql-tool --database "$1" setup-schema --version 0.0 &&
    temporal-sql-tool --database "$1" update-schema --schema-dir "$schemas/$2/versioned"
}

attempt=1
until migrate temporal temporal && migrate temporal_visibility visibility; do
  if [ "$attempt" -ge "$attempts" ]; then
    echo "the schema of Temporal is not there after $attempts attempts: see the messages above" >&2
    exit 1
  fi
  attempt=$((attempt + 1))
  sleep 2
done
echo "the schema of Temporal is up to date"
