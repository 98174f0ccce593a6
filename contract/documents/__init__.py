"""The typed files of a job: statistics, constraints, violations; read and written without loss."""
