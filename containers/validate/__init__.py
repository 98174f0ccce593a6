"""The console command ``monitor-validate``."""
