"""One job on several hosts: who leads, who works, and how splits travel between them.

Nothing here is loaded by a job that runs on one host, and only what needs it loads Dask.
"""
