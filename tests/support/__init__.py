"""What tests share: servers, clients, browsers and stand-ins."""
