"""The console command ``monitor-history``."""
