-- A role that can watch a PostgreSQL database and do nothing else. Run it as a superuser, in the database to be watched:
--   (echo '\set password `cat /run/secrets/billing`'; cat postgresql.sql) | psql billing
-- It can be run again: to change the password, or after tables were made anew. Variables, each by `-v name=value`:
--   password   the role's password; left out, the one that it has stays
--   role       its name, `allswell` by default
--   schema     the schema to be watched, `public` by default
--   connections  how many it may have, 20 by default
--   owner      a role that makes tables: those that it makes later can be read as well (dbt makes tables anew)
-- A password in a statement reaches the server's log where `log_statement` is `ddl` or `all`: it is switched off here.
--
-- allswell refuses superusers and roles that can read or write files on the server; it sets its own limits in each
-- transaction, and these are the ones that hold even if it does not.
\set ON_ERROR_STOP on
\set QUIET on
\if :{?role}
\else
  \set role allswell
\endif
\if :{?schema}
\else
  \set schema public
\endif
\if :{?connections}
\else
  \set connections 20
\endif
\if :{?password}
  SELECT :'password' = '' AS is_empty \gset
  \if :is_empty
    DO $$ BEGIN RAISE 'the password is empty: is the file there, and may it be read?'; END $$;
  \endif
\endif
SET log_statement = 'none';
SELECT format('CREATE ROLE %I LOGIN NOINHERIT', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
\if :{?password}
  ALTER ROLE :"role" PASSWORD :'password';
\endif
SELECT coalesce(rolpassword, '') = '' AS is_without FROM pg_authid WHERE rolname = :'role' \gset
\if :is_without
  \warn 'the role has no password: run this again with -v password=..., unless it logs in by a certificate or a peer'
\endif

-- Twice the `connections` of the source and two, for each replica, and for one more during an update: 18 for two replicas.
ALTER ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT :connections;
ALTER ROLE :"role" SET default_transaction_read_only = on;
ALTER ROLE :"role" SET statement_timeout = '5min';
ALTER ROLE :"role" SET lock_timeout = '1s';
ALTER ROLE :"role" SET idle_in_transaction_session_timeout = '30s';
-- A query that sorts without end fills the disk; only a superuser can limit that.
ALTER ROLE :"role" SET temp_file_limit = '2GB';

-- Grant as little as the checks need: schemas, tables, or single columns.
GRANT USAGE ON SCHEMA :"schema" TO :"role";
GRANT SELECT ON ALL TABLES IN SCHEMA :"schema" TO :"role";
\if :{?owner}
  ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA :"schema" GRANT SELECT ON TABLES TO :"role";
\endif

-- A function that is SECURITY DEFINER acts for its owner, whatever this role may do, and every role may call it unless that
-- is revoked. These are the ones that this role could call; look at each, and revoke what it does not need:
--   SELECT p.oid::regprocedure, r.rolname AS acts_for, r.rolsuper FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
--     WHERE p.prosecdef AND has_function_privilege('allswell', p.oid, 'EXECUTE');
--   REVOKE EXECUTE ON FUNCTION … FROM PUBLIC;  -- and GRANT it to those who call it
-- The same of functions to come: ALTER DEFAULT PRIVILEGES FOR ROLE app REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- Where row-level security hides rows, a check ends as `auth` until the role may see all of them:
--   ALTER ROLE allswell BYPASSRLS;
