#!/bin/sh
# Makes the role that allswell uses, as the image of PostgreSQL starts for the first time.
set -eu
password=$(cat /run/secrets/shop)
psql -v password="$password" -U "$POSTGRES_USER" -f /roles/postgresql.sql "$POSTGRES_DB"
