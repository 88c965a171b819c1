"""Where jobs are kept: the messages spoken to a storage, and the storages behind them."""
