"""Authentication of requests: tokens, cookies, origins, and the public keys of other issuers."""
