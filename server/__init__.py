"""The program: settings, sign-in, HTTP and SSE transports, health, metrics and the command line."""
