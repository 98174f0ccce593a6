"""Where a job tells what it found, once its files are written: metrics and events.

`reporting.sinks.publishing.open_sinks` checks what the settings name; `Sinks.deliver` tells all of them
side by side. A sink that is down, slow or refuses is a line in the log: the files stay, and so does the exit
code, unless told otherwise.
"""
