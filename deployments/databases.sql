-- Run once by PostgreSQL's image, in a new volume: a role and a database for each server.
-- Passwords come from the environment of that service (see compose.yaml).
\set ON_ERROR_STOP on
\getenv prefect_password PREFECT_PASSWORD
\getenv mlflow_password MLFLOW_PASSWORD
CREATE ROLE prefect LOGIN PASSWORD :'prefect_password';
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE DATABASE prefect OWNER prefect TEMPLATE template0 ENCODING 'UTF8';
CREATE DATABASE mlflow OWNER mlflow TEMPLATE template0 ENCODING 'UTF8';
-- Who may sign in to MLflow, and what they may do there.
CREATE DATABASE mlflow_auth OWNER mlflow TEMPLATE template0 ENCODING 'UTF8';
REVOKE CONNECT ON DATABASE prefect, mlflow, mlflow_auth FROM PUBLIC;
