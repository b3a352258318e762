-- A user that can watch a MariaDB or MySQL database and do nothing else. Run as an administrator; replace the password,
-- the host and the database. allswell refuses users with FILE, SUPER, SHUTDOWN and SET USER.
CREATE USER 'allswell'@'10.0.0.%' IDENTIFIED BY 'change me'
  WITH MAX_USER_CONNECTIONS 5; -- `connections` of the source, and a few to stop queries with
GRANT SELECT ON billing.* TO 'allswell'@'10.0.0.%';
