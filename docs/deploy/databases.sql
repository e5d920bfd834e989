-- Beside Dagster's own database, which the image of Postgres makes.
CREATE DATABASE mlflow;
