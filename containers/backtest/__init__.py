"""The console command ``monitor-backtest``."""
