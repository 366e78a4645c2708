"""The process: command line, start, the application, serving, supervision of workers, and shutdown."""
