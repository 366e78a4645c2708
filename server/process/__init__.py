"""The process: command line, start, serving, supervision of workers, and shutdown."""
