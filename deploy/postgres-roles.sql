-- Run once as a superuser or the owner of the cluster; change the passwords.
--   psql -d postgres -v database=afterimage -f deploy/postgres-roles.sql

-- Owns what afterimage makes: its control tables, the mirror tables and their history.
CREATE ROLE afterimage LOGIN PASSWORD 'change-me';
CREATE DATABASE :"database" OWNER afterimage;

-- For people and programs that only read the mirror and the history.
CREATE ROLE afterimage_read NOLOGIN;

\connect :"database"
GRANT CONNECT ON DATABASE :"database" TO afterimage_read;
-- Everything that afterimage creates from now on. Schemas and tables come with the first event of each source
-- table, so the rights are given in advance.
ALTER DEFAULT PRIVILEGES FOR ROLE afterimage GRANT USAGE ON SCHEMAS TO afterimage_read;
ALTER DEFAULT PRIVILEGES FOR ROLE afterimage GRANT SELECT ON TABLES TO afterimage_read;
ALTER DEFAULT PRIVILEGES FOR ROLE afterimage GRANT EXECUTE ON FUNCTIONS TO afterimage_read;
