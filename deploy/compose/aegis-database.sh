#!/bin/bash
# Runs once, when the database of Aegis is new: an owner who migrates, and one login for each
# process, with no more rights than that process needs. Migrations grant the rights to the groups.
set -eu

psql --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv owner_password AEGIS_OWNER_PASSWORD
\getenv api_password AEGIS_API_PASSWORD
\getenv decision_password AEGIS_DECISION_PASSWORD
\getenv execution_password AEGIS_EXECUTION_PASSWORD
\getenv watcher_password AEGIS_WATCHER_PASSWORD
\getenv guard_password AEGIS_GUARD_PASSWORD

create role aegis_api nologin;
create role aegis_decision nologin;
create role aegis_execution nologin;
create role aegis_watcher nologin;
create role aegis_guard nologin;
create role aegis_reader nologin;

create role aegis_owner login password :'owner_password';
create role aegis_api_login login in role aegis_api password :'api_password';
create role aegis_decision_login login in role aegis_decision password :'decision_password';
create role aegis_execution_login login in role aegis_execution password :'execution_password';
create role aegis_watcher_login login in role aegis_watcher password :'watcher_password';
create role aegis_guard_login login in role aegis_guard password :'guard_password';

create database aegis owner aegis_owner;
revoke connect, temporary on database aegis from public;
grant connect on database aegis to aegis_api, aegis_decision, aegis_execution, aegis_watcher, aegis_guard, aegis_reader;
SQL
