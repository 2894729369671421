-- The user of Grafana: it reads only, and a query takes 10 s at most. Everyone who reaches Grafana can send queries.
CREATE ROLE grafana LOGIN;
GRANT pg_read_all_data TO grafana;
ALTER ROLE grafana SET default_transaction_read_only = on;
ALTER ROLE grafana SET statement_timeout = '10s';
