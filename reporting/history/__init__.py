"""The history of runs: one small record per run in a folder or on S3, appended to by any number of jobs.

Layout below ``history_path``::

    runs/<time>-<monitor>-<random>.jsonl.gz    one record, or after compaction many: a JSON object per line
    statistics/<run>.json.zst                  the run's statistics, to check them again
    baselines/<digest>.json.zst                what runs were compared with, once however many runs share it

A file is written once, under a name nobody else has, and appears whole: writers never wait for each other
and never touch what another wrote.
"""
