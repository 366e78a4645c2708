"""The process: its command line, how it starts, serves, is supervised and stops."""
