"""The program: settings, sign-in, HTTP and SSE transports, health and metrics, the command line."""
