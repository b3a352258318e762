-- A user that can watch a MariaDB or MySQL database and do nothing else. Run as an administrator; replace the password,
-- the host and the database. allswell refuses users with FILE, SUPER, SHUTDOWN and SET USER.
CREATE USER 'allswell'@'10.0.0.%' IDENTIFIED BY 'change me'
  WITH MAX_USER_CONNECTIONS 10; -- twice the `connections` of the source, and two: to stop queries, and to see who waits
GRANT SELECT ON billing.* TO 'allswell'@'10.0.0.%';
-- A query holds off ALTER TABLE, and whoever writes behind that, until it ends. With this, allswell sees who waits, and
-- gives way; it also lets the user see what others run:
--   GRANT PROCESS ON *.* TO 'allswell'@'10.0.0.%';

-- A server that was set up without `mariadb-secure-installation` lets every user write to the databases `test` and `test_…`;
-- no REVOKE from one user takes that away. allswell warns of it until the anonymous rows are gone:
--   DELETE FROM mysql.db WHERE user = '' AND db IN ('test', 'test\\_%'); FLUSH PRIVILEGES;

-- A function that is SQL SECURITY DEFINER acts for its definer, whatever this user may do. Grant no EXECUTE; where a check
-- needs one, look at what this user could call, and for whom it acts:
--   SELECT routine_schema, routine_name, definer FROM information_schema.routines WHERE security_type = 'DEFINER';
