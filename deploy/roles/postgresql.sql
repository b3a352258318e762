-- A role that can watch a PostgreSQL database and do nothing else. Run as a superuser, in the database to be watched:
--   psql -f postgresql.sql billing
-- allswell refuses superusers and roles that can read or write files on the server; it sets its own limits in each
-- transaction, and these are the ones that hold even if it does not.
\set ON_ERROR_STOP on
CREATE ROLE allswell LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT
  CONNECTION LIMIT 5; -- `connections` of the source, and one to cancel with
ALTER ROLE allswell SET default_transaction_read_only = on;
ALTER ROLE allswell SET statement_timeout = '5min';
ALTER ROLE allswell SET lock_timeout = '1s';
ALTER ROLE allswell SET idle_in_transaction_session_timeout = '30s';
-- A query that sorts without end fills the disk; only a superuser can limit that.
ALTER ROLE allswell SET temp_file_limit = '2GB';

-- Grant as little as the checks need: schemas, tables, or single columns.
GRANT USAGE ON SCHEMA public TO allswell;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO allswell;
-- Tables to come: this speaks for one owner, so write it for each role that makes tables.
--   ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA public GRANT SELECT ON TABLES TO allswell;

-- A function that is SECURITY DEFINER acts for its owner, whatever this role may do, and everybody may call it unless that is
-- revoked. These are the ones that this role could call; look at each, and revoke what it does not need:
--   SELECT p.oid::regprocedure, r.rolname AS acts_for, r.rolsuper FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
--     WHERE p.prosecdef AND has_function_privilege('allswell', p.oid, 'EXECUTE');
--   REVOKE EXECUTE ON FUNCTION … FROM PUBLIC;  -- and GRANT it to those who call it
-- The same of functions to come: ALTER DEFAULT PRIVILEGES FOR ROLE app REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- Asks for the password, so that it stands in no history and no log. Where nobody sits at a terminal, leave this line out and
-- let what sets the role up set the password too.
\password allswell

-- Where row-level security hides rows, a check ends as `auth` until the role may see all of them:
--   ALTER ROLE allswell BYPASSRLS;
