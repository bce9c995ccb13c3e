#!/bin/sh
# Makes the directory's role and database; Postgres's image runs it once, on an empty volume.
set -eu
psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set ON_ERROR_STOP=1 --set password="$DIRECTORY_PASSWORD" <<'SQL'
create role shardgate_directory login password :'password';
create database shardgate_directory owner shardgate_directory;
SQL
