#!/usr/bin/env bash
# Runs once, when the server's data folder is new. Names and passwords come from the environment.
set -euo pipefail
quote() { printf "%s" "$1" | sed "s/\\\\/\\\\\\\\/g; s/'/''/g"; }
mariadb --user=root --password="$MARIADB_ROOT_PASSWORD" <<SQL
CREATE USER '$(quote "$MAXSCALE_USER")'@'%' IDENTIFIED BY '$(quote "$MAXSCALE_PASSWORD")';
-- To replicate, and to read the account tables as every MaxScale service does.
GRANT REPLICATION SLAVE, BINLOG MONITOR, SHOW DATABASES ON *.* TO '$(quote "$MAXSCALE_USER")'@'%';
GRANT SELECT ON mysql.* TO '$(quote "$MAXSCALE_USER")'@'%';
-- SHOW CREATE TABLE, for a table whose CREATE TABLE is not in the binary logs any more.
GRANT SELECT ON shop.* TO '$(quote "$MAXSCALE_USER")'@'%';

-- Afterimage: what tables look like, and the rows that the stream does not have.
CREATE USER 'afterimage'@'%' IDENTIFIED BY '$(quote "$MARIADB_AFTERIMAGE_PASSWORD")';
GRANT BINLOG MONITOR, PROCESS ON *.* TO 'afterimage'@'%';
GRANT SELECT ON shop.* TO 'afterimage'@'%';

CREATE USER 'workload'@'%' IDENTIFIED BY '$(quote "$WORKLOAD_PASSWORD")';
GRANT SELECT, INSERT, UPDATE, DELETE ON shop.* TO 'workload'@'%';
SQL
