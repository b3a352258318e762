-- A user that can watch a MariaDB or MySQL database and do nothing else. Run it as an administrator, behind three settings:
--   (echo "SET @password = CONVERT(FROM_BASE64('$(base64 -w0 </run/secrets/billing)') USING utf8mb4);"; \
--    echo "SET @database = 'billing', @host = '10.0.0.%';"; cat mariadb.sql) | mariadb
-- A line break at the end of the password is not part of it.
-- It can be run again, to change the password. Without the settings, or with an empty password, it fails, and changes
-- nothing.
-- allswell refuses users with FILE, SUPER, SHUTDOWN and SET USER.
SET @password = NULLIF(TRIM(TRAILING '\n' FROM @password), '');
SET @who = CONCAT(QUOTE('allswell'), '@', QUOTE(@host));

SET @sql = CONCAT('CREATE USER IF NOT EXISTS ', @who, ' IDENTIFIED BY ', QUOTE(@password));
PREPARE make FROM @sql;
EXECUTE make;

-- Twice the `connections` of the source and two (to stop queries, and to see who waits), for each replica, and for one more
-- during an update: 18 for two replicas.
SET @sql = CONCAT('ALTER USER ', @who, ' IDENTIFIED BY ', QUOTE(@password), ' WITH MAX_USER_CONNECTIONS 20');
PREPARE make FROM @sql;
EXECUTE make;

-- `_` and `%` in the name of a database stand for any characters in a GRANT.
SET @named = REPLACE(REPLACE(REPLACE(@database, '`', '``'), '_', '\\_'), '%', '\\%');
SET @sql = CONCAT('GRANT SELECT ON `', @named, '`.* TO ', @who);
PREPARE make FROM @sql;
EXECUTE make;
DEALLOCATE PREPARE make;

-- A query holds off ALTER TABLE, and every session that writes behind that, until it ends. With this privilege allswell sees
-- who waits, and gives way; it also lets the user see what others run:
--   GRANT PROCESS ON *.* TO 'allswell'@'10.0.0.%';

-- A server that was set up without `mariadb-secure-installation` lets every user write to the databases `test` and `test_…`;
-- no REVOKE from one user takes that away. allswell warns of it until the anonymous rows are gone:
--   DELETE FROM mysql.db WHERE user IN ('', 'PUBLIC') AND db IN ('test', 'test\\_%'); FLUSH PRIVILEGES;

-- A function that is SQL SECURITY DEFINER acts for its definer, whatever this user may do. Grant no EXECUTE; where a check
-- needs one, look at what this user could call, and for whom it acts:
--   SELECT routine_schema, routine_name, definer FROM information_schema.routines WHERE security_type = 'DEFINER';
